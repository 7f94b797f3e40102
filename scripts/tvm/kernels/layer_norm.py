"""Layer normalisation of rows: to mean 0 and variance 1, then by a factor and a shift of each column."""

import functools

from tvm.script import tirx as T


@functools.cache
def layer_norm(columns, epsilon, lanes):
    """The kernel for x [rows, columns], a factor and a shift [columns]; `columns` is a multiple of `lanes`.

    The variance is that of the differences from the mean: a difference of squares would lose digits.
    """
    vectors = columns // lanes

    @T.inline
    def across(sums):
        for v in T.unroll(lanes - 1):
            sums[0] = sums[0] + sums[v + 1]
        sums[0] = sums[0] / T.float32(columns)

    @T.prim_func(private=True, s_tir=True)
    def layer_norm(x: T.handle, factor: T.Buffer((columns,)), shift: T.Buffer((columns,)), y: T.handle):
        T.func_attr({"tirx.noalias": True})
        rows = T.int64()
        X = T.match_buffer(x, (rows, columns))
        Y = T.match_buffer(y, (rows, columns))
        for i in T.serial(rows):
            mean = T.alloc_buffer((lanes,), "float32", scope="local")
            variance = T.alloc_buffer((lanes,), "float32", scope="local")
            for v in T.vectorized(lanes):
                mean[v] = T.float32(0)
                variance[v] = T.float32(0)
            for j in T.serial(vectors):
                for v in T.vectorized(lanes):
                    mean[v] = mean[v] + X[i, j * lanes + v]
            across(mean)
            for j in T.serial(vectors):
                for v in T.vectorized(lanes):
                    variance[v] = variance[v] + (X[i, j * lanes + v] - mean[0]) * (
                        X[i, j * lanes + v] - mean[0]
                    )
            across(variance)
            variance[0] = T.float32(1) / T.sqrt(variance[0] + T.float32(epsilon))
            for j in T.serial(vectors):
                for v in T.vectorized(lanes):
                    Y[i, j * lanes + v] = (X[i, j * lanes + v] - mean[0]) * variance[0] * factor[
                        j * lanes + v
                    ] + shift[j * lanes + v]

    return layer_norm
