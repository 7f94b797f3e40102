"""Attention: softmax(scale Q Kᵀ + bias) V, one head at a time, the shares of a few queries in the cache.

Padding a row of shares to whole registers costs less than a loop over single floats at its end.
"""

import functools

from tvm.script import tirx as T

from .maths import exp


@functools.cache
def attention(heads, width, scale, lanes, registers):
    """The kernel for Q, K and V [batch, sequence, heads, width] and a bias [batch, 1, 1, sequence].

    `width` is a multiple of `lanes`, and fills at most `registers` of them.
    """
    vectors = width // lanes
    height = registers // vectors
    # Less than whatever a mask adds: padding has no share even where all tokens are masked.
    least = -T.infinity("float32")

    def padded_up(s):
        return (s + lanes - 1) // lanes * lanes

    @T.inline
    def softmax(shares, totals, i, padded):
        most = T.alloc_buffer((lanes,), "float32", scope="local")
        total = T.alloc_buffer((lanes,), "float32", scope="local")
        for v in T.vectorized(lanes):
            most[v] = least
            total[v] = T.float32(0)
        for block in T.serial(padded // lanes):
            for v in T.vectorized(lanes):
                most[v] = T.max(most[v], shares[i * padded + block * lanes + v])
        for v in T.unroll(lanes - 1):
            most[0] = T.max(most[0], most[v + 1])
        for block in T.serial(padded // lanes):
            for v in T.vectorized(lanes):
                shares[i * padded + block * lanes + v] = exp(shares[i * padded + block * lanes + v] - most[0])
                total[v] = total[v] + shares[i * padded + block * lanes + v]
        totals[i] = total[0]
        for v in T.unroll(lanes - 1):
            totals[i] = totals[i] + total[v + 1]

    @T.inline
    def queries(Q, V, O, keys, shares, padded, b, h, s, first, rows):
        for block in T.serial(padded // lanes):
            scores = T.alloc_buffer((rows * lanes,), "float32", scope="local")
            for i in T.unroll(rows):
                for v in T.vectorized(lanes):
                    scores[i * lanes + v] = keys[width * padded + block * lanes + v]
            for k in T.serial(width):
                for i in T.unroll(rows):
                    for v in T.vectorized(lanes):
                        scores[i * lanes + v] = (
                            scores[i * lanes + v]
                            + Q[b, first + i, h, k] * keys[k * padded + block * lanes + v]
                        )
            for i in T.unroll(rows):
                for v in T.vectorized(lanes):
                    shares[i * padded + block * lanes + v] = scores[i * lanes + v]
        totals = T.alloc_buffer((rows,), "float32", scope="local")
        for i in T.serial(rows):
            softmax(shares, totals, i, padded)
        sums = T.alloc_buffer((rows * width,), "float32", scope="local")
        for i in T.unroll(rows):
            for j in T.unroll(vectors):
                for v in T.vectorized(lanes):
                    sums[i * width + j * lanes + v] = T.float32(0)
        for k in T.serial(s):
            for i in T.unroll(rows):
                for j in T.unroll(vectors):
                    for v in T.vectorized(lanes):
                        sums[i * width + j * lanes + v] = (
                            sums[i * width + j * lanes + v]
                            + shares[i * padded + k] * V[b, k, h, j * lanes + v]
                        )
        for i in T.unroll(rows):
            for j in T.unroll(vectors):
                for v in T.vectorized(lanes):
                    O[b, first + i, h, j * lanes + v] = sums[i * width + j * lanes + v] / totals[i]

    def rest_of(rows):
        """The queries that no tile of full height takes, where they are `rows` or fewer."""
        if rows == 0:
            return nothing
        fewer = rest_of(rows - 1)

        @T.inline
        def rest(Q, V, O, keys, shares, padded, b, h, s):
            if s % height == rows:
                queries(Q, V, O, keys, shares, padded, b, h, s, s - rows, rows)
            fewer(Q, V, O, keys, shares, padded, b, h, s)

        return rest

    @T.inline
    def nothing(Q, V, O, keys, shares, padded, b, h, s):
        T.evaluate(0)

    rest_of_queries = rest_of(height - 1)

    @T.prim_func(private=True, s_tir=True)
    def attention(q: T.handle, k: T.handle, v: T.handle, bias: T.handle, o: T.handle):
        T.func_attr({"tirx.noalias": True})
        batch = T.int64()
        s = T.int64()
        Q = T.match_buffer(q, (batch, s, heads, width))
        K = T.match_buffer(k, (batch, s, heads, width))
        V = T.match_buffer(v, (batch, s, heads, width))
        B = T.match_buffer(bias, (batch, 1, 1, s))
        O = T.match_buffer(o, (batch, s, heads, width))
        # The keys of one head, transposed and scaled, and the bias as their last row.
        keys = T.alloc_buffer(((width + 1) * padded_up(s),))
        shares = T.alloc_buffer((height * padded_up(s),))
        for b in T.serial(batch):
            for j in T.serial(s):
                keys[width * padded_up(s) + j] = B[b, 0, 0, j]
            for j in T.serial((-s) % lanes):
                keys[width * padded_up(s) + s + j] = least
            for h in T.serial(heads):
                for c in T.serial(width):
                    for j in T.serial(s):
                        keys[c * padded_up(s) + j] = K[b, j, h, c] * T.float32(scale)
                    for j in T.serial((-s) % lanes):
                        keys[c * padded_up(s) + s + j] = T.float32(0)
                for t in T.serial(s // height):
                    queries(Q, V, O, keys, shares, padded_up(s), b, h, s, t * height, height)
                rest_of_queries(Q, V, O, keys, shares, padded_up(s), b, h, s)

    return attention
