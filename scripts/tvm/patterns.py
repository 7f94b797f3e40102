"""What an encoder's kernels compute, as patterns of Relax operators: those that PyTorch's export writes.

A pattern is a class: `pattern` finds it, and `replaced` makes of what was found a call of a kernel, or None
where no kernel fits. What is in none of them is left to TVM.
"""

import math

import numpy as np
from tvm import relax
from tvm.relax.dpl import is_const, is_op, wildcard

from expressions import array, axes, constant_is, count, flat, floats, known, same, sizes
from kernels.attention import attention
from kernels.layer_norm import layer_norm
from kernels.linear import Tile, linear, packed


def op(name, *arguments):
    """The pattern of a call of a Relax operator."""
    return is_op(f"relax.{name}")(*arguments)


def either_way(name, left, right):
    """The pattern of an operator that takes its arguments in any order."""
    return op(name, left, right) | op(name, right, left)


class Linear:
    """x W, with a bias where `biased`, then GELU where `activated`, or a tensor added where `added`."""

    def __init__(self, biased=False, activated=False, added=False):
        self.states, self.matrix, self.bias = wildcard(), is_const(), is_const() if biased else None
        self.other = wildcard() if added else None
        self.activated, self.gelu = activated, [is_const(), is_const(), is_const()]
        self.pattern = self._pattern()

    def _pattern(self):
        product = op("matmul", self.states, self.matrix)
        if self.bias is not None:
            product = either_way("add", product, self.bias)
        if self.other is not None:
            product = either_way("add", product, self.other)
        if not self.activated:
            return product
        root, one, half = self.gelu
        error = op("erf", op("divide", product, root))
        written_out = op("multiply", op("multiply", product, op("add", error, one)), half)
        return op("nn.gelu", product) | written_out

    def replaced(self, matched, module):
        states, matrix = matched[self.states], array(matched[self.matrix])
        if matrix.ndim != 2 or not self._is_gelu(matched):
            return None
        inner, columns = matrix.shape
        tile = Tile.of(module.level, columns)
        bias = np.zeros(columns, "float32") if self.bias is None else array(matched[self.bias])
        if tile is None or not floats(states) or bias.shape != (columns,):
            return None
        rows, shape = flat(states), [*sizes(states)[:-1], columns]
        inputs = [rows, relax.const(packed(matrix, tile)), relax.const(bias)]
        if self.other is not None:
            if not same(sizes(matched[self.other]), shape):
                return None
            inputs.append(flat(matched[self.other]))
        kernel = linear(inner, columns, tile, self.activated, self.other is not None)
        return relax.op.reshape(module.call("linear", kernel, inputs, [count(shape[:-1]), columns]), shape)

    def _is_gelu(self, matched):
        """Whether the constants are those of GELU, where it is written out."""
        if self.gelu[0] not in matched:
            return True
        return all(
            constant_is(matched[constant], value)
            for constant, value in zip(self.gelu, (math.sqrt(2), 1, 0.5))
        )


class Attention:
    """softmax(Q Kᵀ / divisor + bias) V, from projections split into heads to rows again."""

    def __init__(self):
        heads = [op("permute_dims", wildcard()) for _ in range(3)]
        self.heads, self.divisor, self.bias = heads, is_const(), wildcard()
        query, key, value = heads
        scores = op("divide", op("matmul", query, key), self.divisor)
        shares = op("nn.softmax", either_way("add", scores, self.bias))
        self.pattern = op("permute_dims", op("matmul", shares, value))

    def replaced(self, matched, module):
        split = [matched[heads].args[0] for heads in self.heads]
        orders = [axes(matched[heads]) for heads in self.heads]
        if any(len(sizes(one)) != 4 for one in split):
            return None
        batch, sequence, heads, width = sizes(split[0])
        level, divisor = module.level, array(matched[self.divisor])
        fits = (
            orders == [(0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)]
            and axes(matched[self.pattern]) == (0, 2, 1, 3)
            and all(same(sizes(one), sizes(split[0])) and floats(one) for one in split)
            and same(sizes(matched[self.bias]), [batch, 1, 1, sequence])
            and divisor.size == 1
            and known(heads, width)
            and width % level.lanes == 0
            and width // level.lanes <= level.registers
        )
        if not fits:
            return None
        kernel = attention(heads, width, 1 / divisor.item(), level.lanes, level.registers)
        return module.call("attention", kernel, [*split, matched[self.bias]], sizes(split[0]))


class LayerNorm:
    """Layer normalisation over the last axis."""

    def __init__(self):
        self.states, self.factor, self.shift = wildcard(), is_const(), is_const()
        self.pattern = op("nn.layer_norm", self.states, self.factor, self.shift)

    def replaced(self, matched, module):
        states, attributes = matched[self.states], matched[self.pattern].attrs
        columns = sizes(states)[-1]
        last = [int(axis) for axis in attributes.axes] in ([-1], [len(sizes(states)) - 1])
        if not last or not floats(states) or not known(columns) or columns % module.level.lanes:
            return None
        kernel = layer_norm(columns, float(attributes.epsilon), module.level.lanes)
        rows = flat(states)
        inputs = [rows, matched[self.factor], matched[self.shift]]
        shape = [count(sizes(states)[:-1]), columns]
        return relax.op.reshape(module.call("layer_norm", kernel, inputs, shape), sizes(states))


def all_patterns():
    """All patterns; what takes in the most comes first."""
    return [
        Attention(),
        Linear(biased=True, activated=True),
        Linear(biased=True, added=True),
        Linear(biased=True),
        Linear(),
        LayerNorm(),
    ]
