"""What a compiled model says about itself, as JSON, so that one file is all that whoever loads it needs."""

import json

import tvm
import xxhash
from onnx import TensorProto
from tvm import relax

from refused import Refused

FORMAT = 1
ELEMENTS = {
    TensorProto.FLOAT: "f32",
    TensorProto.DOUBLE: "f64",
    TensorProto.INT8: "i8",
    TensorProto.INT16: "i16",
    TensorProto.INT32: "i32",
    TensorProto.INT64: "i64",
    TensorProto.UINT8: "u8",
    TensorProto.UINT16: "u16",
    TensorProto.UINT32: "u32",
    TensorProto.UINT64: "u64",
}
PART_BYTES = 1 << 18


def of(model, file, level, limits):
    """The signature of the ONNX model in `file`, for a level; `limits` is the most that open sizes may be."""
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    return {
        "format": FORMAT,
        "version": tvm.__version__,
        "level": level.name,
        "content": digest(file),
        "inputs": [info(one) for one in graph.input if one.name not in weights],
        "outputs": [info(one) for one in graph.output],
        "limits": limits,
        "metadata": {note.key: note.value for note in model.metadata_props},
    }


def info(value):
    """The name, elements and sizes of an input or output; a size that is open is its name."""
    tensor = value.type.tensor_type
    if tensor.elem_type not in ELEMENTS:
        raise Refused(f"{value.name} has elements of ONNX type {tensor.elem_type}")
    if not tensor.HasField("shape"):
        raise Refused(f"the rank of {value.name} is not known")
    sizes = [size.dim_value if size.HasField("dim_value") else size.dim_param for size in tensor.shape.dim]
    return {"name": value.name, "element": ELEMENTS[tensor.elem_type], "shape": sizes}


def digest(file):
    """The content of a file as ml-core knows it: XXH3 over parts, each seeded with the hash so far."""
    total = 0
    with file.open("rb") as opened:
        while part := opened.read(PART_BYTES):
            total = xxhash.xxh3_64_intdigest(part, seed=total)
    return f"{total:016x}"


def add(module, signature):
    """Returns the module with a function `signature` that gives the JSON."""
    builder = relax.BlockBuilder(module)
    with builder.function("signature", []):
        builder.emit_func_output(tvm.ir.StringImm(json.dumps(signature)))
    return builder.get()
