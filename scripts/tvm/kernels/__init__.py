"""Kernels in TensorIR: what TVM's own lowering would make naive loops of.

A kernel works on tiles of some rows whose sums stay in registers. The rows that are left at the end are a
tile of their own height, compiled for each height: of a text's 24 tokens or so none may be wasted.
"""
