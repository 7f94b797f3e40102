"""A linear layer: x W + bias, then GELU or the residual's addition while the sums are still in registers."""

import functools
from dataclasses import dataclass

import numpy as np
from tvm.script import tirx as T

from .maths import gelu


@dataclass(frozen=True)
class Tile:
    """Sums of `rows` rows and `columns` columns, in registers of `lanes` floats."""

    rows: int
    columns: int
    lanes: int

    @classmethod
    def of(cls, level, columns):
        """The tile for a matrix of that many columns, None where they fill no registers.

        A tile of 6 rows reads the fewest numbers for each product.
        """
        rows = 6
        widths = range(level.registers // rows * level.lanes, 0, -level.lanes)
        width = next((width for width in widths if columns % width == 0), None)
        return width and cls(rows, width, level.lanes)


def packed(matrix, tile):
    """The matrix [inner, columns] as the kernel reads it: [blocks, inner, columns of a tile]."""
    inner, columns = matrix.shape
    blocks = matrix.reshape(inner, columns // tile.columns, tile.columns)
    return np.ascontiguousarray(blocks.transpose(1, 0, 2))


@functools.cache
def linear(inner, columns, tile, activated, added):
    """The kernel for x [rows, inner], a packed matrix, bias [columns], and, where `added`, a tensor like y.

    y is [rows, columns]; `activated` by GELU. Blocks of columns are the outer loop: one block of the matrix
    stays in the cache while all rows pass by.
    """
    blocks, width, lanes = columns // tile.columns, tile.columns, tile.lanes
    vectors = width // lanes

    @T.inline
    def rows_of(X, W, bias, Z, Y, block, first, rows):
        sums = T.alloc_buffer((rows * width,), "float32", scope="local")
        for i in T.unroll(rows):
            for j in T.unroll(vectors):
                for v in T.vectorized(lanes):
                    sums[i * width + j * lanes + v] = bias[block * width + j * lanes + v]
        for k in T.serial(inner):
            for i in T.unroll(rows):
                for j in T.unroll(vectors):
                    for v in T.vectorized(lanes):
                        sums[i * width + j * lanes + v] = (
                            sums[i * width + j * lanes + v] + X[first + i, k] * W[block, k, j * lanes + v]
                        )
        for i in T.unroll(rows):
            for j in T.unroll(vectors):
                for v in T.vectorized(lanes):
                    if activated:
                        sums[i * width + j * lanes + v] = gelu(sums[i * width + j * lanes + v])
                    if added:
                        sums[i * width + j * lanes + v] = (
                            sums[i * width + j * lanes + v] + Z[first + i, block * width + j * lanes + v]
                        )
                    Y[first + i, block * width + j * lanes + v] = sums[i * width + j * lanes + v]

    def rest_of(rows):
        """The rows that no tile of full height takes, where they are `rows` or fewer."""
        if rows == 0:
            return nothing
        fewer = rest_of(rows - 1)

        @T.inline
        def rest(X, W, bias, Z, Y, block, m):
            if m % tile.rows == rows:
                rows_of(X, W, bias, Z, Y, block, m - rows, rows)
            fewer(X, W, bias, Z, Y, block, m)

        return rest

    @T.inline
    def nothing(X, W, bias, Z, Y, block, m):
        T.evaluate(0)

    rest_of_tiles = rest_of(tile.rows - 1)

    @T.inline
    def all_of(X, W, bias, Z, Y, m):
        for block in T.serial(blocks):
            for t in T.serial(m // tile.rows):
                rows_of(X, W, bias, Z, Y, block, t * tile.rows, tile.rows)
            rest_of_tiles(X, W, bias, Z, Y, block, m)

    @T.prim_func(private=True, s_tir=True)
    def alone(x: T.handle, W: T.Buffer((blocks, inner, width)), bias: T.Buffer((columns,)), y: T.handle):
        T.func_attr({"tirx.noalias": True})
        m = T.int64()
        X = T.match_buffer(x, (m, inner))
        Y = T.match_buffer(y, (m, columns))
        all_of(X, W, bias, Y, Y, m)

    @T.prim_func(private=True, s_tir=True)
    def with_sum(
        x: T.handle, W: T.Buffer((blocks, inner, width)), bias: T.Buffer((columns,)), z: T.handle, y: T.handle
    ):
        T.func_attr({"tirx.noalias": True})
        m = T.int64()
        X = T.match_buffer(x, (m, inner))
        Z = T.match_buffer(z, (m, columns))
        Y = T.match_buffer(y, (m, columns))
        all_of(X, W, bias, Z, Y, m)

    return with_sum if added else alone
