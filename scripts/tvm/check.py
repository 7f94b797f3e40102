"""Compares a compiled model with ONNX Runtime: answers, and speed on one thread."""

import math
import statistics
import time

import numpy as np
import onnxruntime
import tvm
from tvm import relax

SIZES = [(1, 1), (1, 8), (1, 24), (3, 17), (16, 24), (16, 61), (2, 200)]
APART_MAX = 1e-4
ROUNDS = 9


class Apart(Exception):
    """Answers that differ by more than rounding explains."""


def compare(file, compiled, signature):
    """Prints a table of sizes, differences and ratios of speed; raises Apart."""
    ours, theirs = ours_of(compiled), theirs_of(file)
    random = np.random.RandomState(0)
    print("sizes of open axes   largest difference   speed / ONNX Runtime's, one thread", flush=True)
    for sizes in SIZES:
        inputs = [made_up(random, one, sizes, signature["limits"]) for one in signature["inputs"]]
        apart = max(
            float(np.abs(own.astype("f8") - other).max()) for own, other in zip(ours(inputs), theirs(inputs))
        )
        ratios = [seconds(theirs, inputs) / seconds(ours, inputs) for _ in range(ROUNDS)]
        print(f"{sizes!s:<20} {apart:<20.1e} {statistics.median(ratios):.2f}", flush=True)
        # A NaN is apart, too.
        if not apart <= APART_MAX:
            raise Apart(f"for open axes of {sizes} the answers differ by {apart}")


def ours_of(compiled):
    """The model as TVM runs it: arrays to arrays."""
    main = relax.VirtualMachine(compiled, tvm.cpu())["main"]

    def run(inputs):
        outputs = main(*(tvm.runtime.tensor(one) for one in inputs))
        return [one.numpy() for one in ([outputs] if isinstance(outputs, tvm.runtime.Tensor) else outputs)]

    return run


def theirs_of(file):
    """The model as ONNX Runtime runs it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return lambda inputs: session.run(None, dict(zip(names, inputs)))


def made_up(random, info, sizes, limits):
    """Numbers for an input: tokens, zeros and ones for what masks and types, and floats."""
    open_sizes = iter(sizes)
    shape = [
        size if isinstance(size, int) else min(next(open_sizes), limits.get(size, math.inf))
        for size in info["shape"]
    ]
    kind, bits = info["element"][0], int(info["element"][1:])
    dtype = np.dtype(f"{kind}{bits // 8}")
    if kind == "f":
        return random.standard_normal(shape).astype(dtype)
    most = 100 if info["name"] in ("input_ids", "tokens") else 2
    numbers = random.randint(0, most, shape).astype(dtype)
    numbers[..., :1] = 1  # No text is all padding.
    return numbers


def seconds(run, inputs):
    """How long one run takes of this thread's time."""
    began = time.thread_time()
    run(inputs)
    return time.thread_time() - began
