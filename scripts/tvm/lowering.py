"""From an ONNX model to a module that TVM can compile, with kernels where they fit."""

import math
from collections import Counter

import tvm
from tvm import relax
from tvm.relax.backend.cpu_generic import pipeline
from tvm.relax.dpl import rewrite_call

from expressions import known, operator, sizes
from patterns import all_patterns

SMALL = 1 << 14


class Module:
    """A module that is being rewritten for a level of CPUs; `counts` says how many of each kernel are in."""

    def __init__(self, module, level):
        self.builder, self.level, self.counts = relax.BlockBuilder(module), level, Counter()
        self.function = module["main"]

    def rewrite(self, wanted):
        """Puts a kernel wherever the pattern is found and one fits."""

        def replaced(call, matched):
            kernel = wanted.replaced(matched, self)
            return call if kernel is None else kernel

        self.function = rewrite_call(wanted.pattern, replaced, self.function)

    def call(self, name, kernel, inputs, shape):
        """A call of a kernel that gives floats of this shape; equal kernels are one function."""
        self.counts[name] += 1
        result = relax.TensorType(shape, "float32")
        return relax.call_tir(self.builder.add_func(kernel, name), inputs, result)

    def finish(self):
        """The module as it is now."""
        module = self.builder.get()
        module.update_func(module.get_global_var("main"), self.function)
        return relax.transform.DeadCodeElimination()(module)


def with_kernels(module, level):
    """Returns the module with kernels in it, and how many of each."""
    rewritten = Module(module, level)
    for pattern in all_patterns():
        rewritten.rewrite(pattern)
    return rewritten.finish(), rewritten.counts


def left_to_tvm(module):
    """The matrix products that no kernel computes, as texts: TVM's own loops for them are slow.

    Not those with a small matrix, such as a head's: they take no time either way.
    """
    left = []

    def note(expression):
        if operator(expression) == "relax.matmul" and not is_small(sizes(expression.args[1])):
            left.append(" x ".join(str(sizes(argument)) for argument in expression.args))

    relax.analysis.post_order_visit(module["main"], note)
    return left


def is_small(shape):
    """Whether a matrix is too small to matter."""
    return known(*shape) and math.prod(shape) <= SMALL


def compiled(module, level):
    """Compiles what is left by TVM's usual passes for CPUs; memory is planned for each run's sizes."""
    target = level.target
    with target:
        passes = (
            pipeline.library_dispatch_passes(target)
            + pipeline.legalize_passes(target)
            + pipeline.dataflow_lower_passes(target)
            + pipeline.finalize_passes(target)
        )
        return tvm.compile(module, target=target, relax_pipeline=tvm.transform.Sequential(passes))
