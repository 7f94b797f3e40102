"""What patterns ask of Relax expressions, and what they make of them."""

import math

from tvm import relax


def sizes(tensor):
    """A tensor's sizes: numbers, and variables where they are known only when the model runs."""
    return numbers(tensor.ty.shape)


def numbers(some):
    """TVM's integers as Python's, and its variables as they are."""
    return [int(one.value) if hasattr(one, "value") else one for one in some]


def operator(expression):
    """The name of the operator that an expression calls, None for all else."""
    return getattr(getattr(expression, "op", None), "name", None)


def known(*some):
    """Whether sizes are known before the model runs."""
    return all(isinstance(size, int) for size in some)


def same(some, others):
    """Whether two shapes are the same, whatever their variables turn out to be."""
    return len(some) == len(others) and all(
        one == other if known(one, other) else not known(one) and one.same_as(other)
        for one, other in zip(some, others)
    )


def count(some):
    """The product of sizes."""
    return math.prod(some[1:], start=some[0]) if some else 1


def flat(tensor):
    """The tensor as a matrix: its last axis, and all others as one. Costs nothing."""
    *rows, columns = sizes(tensor)
    return relax.op.reshape(tensor, [count(rows), columns])


def floats(tensor):
    """Whether a tensor is of float32."""
    return tensor.ty.dtype == "float32"


def axes(call):
    """The axes of a `permute_dims`."""
    return tuple(int(axis) for axis in call.attrs.axes)


def array(constant):
    """A constant's numbers."""
    return constant.value.numpy()


def constant_is(constant, value):
    """Whether a constant is this one number, as float32 has it."""
    numbers = array(constant)
    return numbers.size == 1 and math.isclose(numbers.item(), value, rel_tol=1e-6)
