"""The CPUs that a model can be compiled for: levels of x86-64, so that who loads it can tell whether it fits.

The levels are those of the x86-64 psABI. Code for the name of one CPU would be no faster here, and could only
be checked against a list of that CPU's many features.
"""

import platform
from dataclasses import dataclass

import tvm
from tvm.target import codegen


@dataclass(frozen=True)
class Level:
    """What a kernel may use: `lanes` floats in a register, and `registers` of them as sums of one tile."""

    name: str
    lanes: int
    registers: int
    tuning: tuple

    @property
    def target(self):
        """TVM's target: one CPU, since a session has one thread."""
        return tvm.target.Target({"kind": "llvm", "mcpu": self.name, "mattr": list(self.tuning)})


LEVELS = {
    # Of AVX2's 16 registers 12 are sums, and 24 of AVX-512's 32, whose full width LLVM would rather not use.
    "x86-64-v3": Level("x86-64-v3", lanes=8, registers=12, tuning=()),
    "x86-64-v4": Level("x86-64-v4", lanes=16, registers=24, tuning=("-prefer-256-bit",)),
}


def here():
    """The best level that this machine has; None where it has none."""
    if platform.machine() != "x86_64":
        return None
    host = tvm.target.Target({"kind": "llvm", "mcpu": codegen.llvm_get_system_cpu()})
    known = set(codegen.llvm_get_cpu_features(host))
    needs = {"x86-64-v4": {"avx512f", "avx512bw", "avx512vl", "avx512dq"}, "x86-64-v3": {"avx2", "fma"}}
    return next((LEVELS[name] for name, features in needs.items() if features <= known), None)
