"""Makes reads outside of tables impossible, which ONNX Runtime refuses and TVM would simply do."""

from tvm import relax
from tvm.relax.dpl import is_op, rewrite_call, wildcard

from expressions import floats, known, numbers, operator, sizes
from refused import Refused


def with_safe_lookups(function):
    """Rows that a table does not have are NaN; integers that it does not have are those at its end.

    TVM imports Gather as unchecked reads. NaN reaches the answer of the text that asked for it, and no other's.
    """
    table, indices = wildcard(), wildcard()
    pattern = is_op("relax.take")(table, indices)

    def checked(call, matched):
        if call.attrs.mode != "fast":
            return call
        mode = "nan" if floats(matched[table]) else "clip"
        axis = None if call.attrs.axis is None else int(call.attrs.axis)
        return relax.op.take(matched[table], matched[indices], axis, mode)

    return rewrite_call(pattern, checked, function)


def limits(function):
    """The most that open sizes may be, by name: those at which tables are cut, such as a table of positions.

    Raises Refused for a cut that no limit of one size keeps inside its tensor.
    """
    found = {}

    def note(expression):
        if operator(expression) != "relax.strided_slice" or not expression.attrs.assume_inbound:
            return
        data, cut, *bounds = expression.args
        for axis, start, end, step in zip(*(numbers(one) for one in (cut, *bounds))):
            there = sizes(data)[axis]
            if start != 0 or step != 1 or not known(there) or known(end) and end > there:
                raise Refused(f"axis {axis} of {sizes(data)} is cut from {start} to {end} by {step}")
            if not known(end):
                name = name_of(end)
                found[name] = min(there, found.get(name, there))

    relax.analysis.post_order_visit(function, note)
    return found


def name_of(size):
    """The name of an open size; Refused where it is computed from others."""
    if not hasattr(size, "name"):
        raise Refused(f"a tensor is cut at {size}, which is computed")
    return size.name
