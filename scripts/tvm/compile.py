#!/usr/bin/env python3
"""Compiles ONNX models ahead of time with Apache TVM, and compares the results with ONNX Runtime.

    compile.py [--level x86-64-v3|x86-64-v4] MODEL.onnx...

The result is one file beside each, named as it but for `.so`: code for CPUs of the level (by default the best that this machine has), the
weights, and the model's signature. Batch and sequence stay open.
"""

import argparse
import sys
from pathlib import Path

import onnx
from tvm.relax.frontend.onnx import from_onnx

import check
import cpu
import lowering
import safety
import signature
from refused import Refused


def main():
    """Reads the command line, and takes the models in turn."""
    arguments = read_arguments()
    level = cpu.LEVELS.get(arguments.level) or cpu.here()
    if level is None:
        raise Refused(f"kernels are written for {' and '.join(cpu.LEVELS)}; this machine is neither")
    for model in arguments.models:
        make(model, level)


def make(file, level):
    """Compiles, compares, and only then writes the library."""
    compiled, described = build(file, level)
    check.compare(file, compiled, described)
    target = file.with_suffix(".so")
    write(compiled, target)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB, for {level.name} and better")


def build(file, level):
    """Returns the compiled model and its signature."""
    model = onnx.load(file)
    module = imported(model)
    described = signature.of(model, file, level, safety.limits(module["main"]))
    module["main"] = safety.with_safe_lookups(module["main"])
    module, counts = lowering.with_kernels(module, level)
    print("kernels:", ", ".join(f"{count} x {name}" for name, count in counts.items()) or "none")
    left = lowering.left_to_tvm(module)
    if left:
        print(f"warning: TVM's own loops compute {len(left)} matrix products, slowly: {'; '.join(left)}")
    return lowering.compiled(signature.add(module, described), level), described


def imported(model):
    """The model as TVM's frontend reads it; what that does not know is refused by name."""
    try:
        return from_onnx(model)
    except Exception as error:
        raise Refused(f"TVM cannot read this model: {str(error).strip().splitlines()[-1]}") from error


def write(compiled, target):
    """Writes the library under its own name only when it is whole."""
    part = target.with_name(f"{target.stem}.part.so")
    compiled.export_library(str(part))
    part.rename(target)


def read_arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, metavar="MODEL.onnx", nargs="+")
    parser.add_argument("--level", choices=cpu.LEVELS)
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except (Refused, check.Apart) as error:
        sys.exit(f"error: {error}")
