"""The models that clients are tested with, and values of every type at its limits."""

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper

BF16 = ml_dtypes.bfloat16

# The protocol's name of each type: what ONNX and numpy call it.
TYPES = {
    "BOOL": (TensorProto.BOOL, np.bool_),
    "UINT8": (TensorProto.UINT8, np.uint8),
    "UINT16": (TensorProto.UINT16, np.uint16),
    "UINT32": (TensorProto.UINT32, np.uint32),
    "UINT64": (TensorProto.UINT64, np.uint64),
    "INT8": (TensorProto.INT8, np.int8),
    "INT16": (TensorProto.INT16, np.int16),
    "INT32": (TensorProto.INT32, np.int32),
    "INT64": (TensorProto.INT64, np.int64),
    "FP16": (TensorProto.FLOAT16, np.float16),
    "BF16": (TensorProto.BFLOAT16, BF16),
    "FP32": (TensorProto.FLOAT, np.float32),
    "FP64": (TensorProto.DOUBLE, np.float64),
    "BYTES": (TensorProto.STRING, np.object_),
}


def values(name):
    """Two rows of four values: the limits of the type, and what is special about it."""
    kind = TYPES[name][1]
    if name == "BOOL":
        flat = [True, False, False, True, True, True, False, False]
    elif name == "BYTES":
        flat = [b"", b"plain", "ünï ✓".encode(), b"he\0llo", b"\0", b"\x00\x01\x02\x03", b"\xff\xfe", b"x" * 300]
    elif np.issubdtype(kind, np.integer):
        least, most = np.iinfo(kind).min, np.iinfo(kind).max
        flat = [least, most, 0, 1, least + 1, most - 1, 7, 42]
    else:
        least, most = ml_dtypes.finfo(kind).smallest_subnormal, ml_dtypes.finfo(kind).max
        flat = [0.0, -0.0, least, most, -most, 1 / 3, 0.1, -1.5]
    return np.array(flat, dtype=kind).reshape(2, 4)


def write_all(folder):
    """Writes every model into `folder`; returns their paths by name."""
    paths = {}

    def save(name, nodes, inputs, outputs, **properties):
        graph = helper.make_graph(nodes, name, inputs, outputs)
        opset = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=8)
        helper.set_model_props(model, properties)
        onnx.checker.check_model(model, full_check=True)
        paths[name] = folder / f"{name}.onnx"
        onnx.save(model, paths[name])

    def tensor(name, kind, shape):
        return helper.make_tensor_value_info(name, kind, shape)

    for name, (kind, _) in TYPES.items():
        # Any sizes: not only rows, but whole tensors of any length go through.
        identity = [helper.make_node("Identity", ["INPUT0"], ["OUTPUT0"])]
        save(f"identity_{name}", identity, *[[tensor(x, kind, ["n", "m"])] for x in ("INPUT0", "OUTPUT0")])

    number = TensorProto.FLOAT
    identity = [helper.make_node("Identity", ["INPUT0"], ["OUTPUT0"])]
    save("scalar", identity, [tensor("INPUT0", number, [])], [tensor("OUTPUT0", number, [])])
    save("one_size", identity, [tensor("INPUT0", number, [16])], [tensor("OUTPUT0", number, [16])])
    save("text", identity, *[[tensor(x, TensorProto.STRING, ["n", 1])] for x in ("INPUT0", "OUTPUT0")])
    whole = TensorProto.INT32
    nodes = [
        helper.make_node("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"]),
        helper.make_node("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"]),
    ]
    tensors = [[tensor(f"{x}{i}", whole, ["batch", 16]) for i in (0, 1)] for x in ("INPUT", "OUTPUT")]
    save("simple", nodes, *tensors, labels=",".join(f"label {i}" for i in range(16)))
    return paths


def write_add(path, number):
    """Writes a model that adds a number to rows of two."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in ("x", "y"))
    added = onnx.numpy_helper.from_array(np.array([number], np.float32), "added")
    graph = helper.make_graph([helper.make_node("Add", ["x", "added"], ["y"])], "add", [x], [y], [added])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def write_largest(path):
    """Writes a model whose answer is the largest number of each row."""
    x = helper.make_tensor_value_info("INPUT0", TensorProto.FLOAT, ["batch", "n"])
    y = helper.make_tensor_value_info("OUTPUT0", TensorProto.FLOAT, ["batch", 1])
    graph = helper.make_graph([helper.make_node("ReduceMax", ["INPUT0"], ["OUTPUT0"], axes=[1])], "largest", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def write_slow(path, size=512, times=60):
    """Writes a model that takes a good part of a second."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y"))
    matrix = onnx.numpy_helper.from_array(np.full((size, size), 1 / size, np.float32), "matrix")
    nodes = [helper.make_node("Add", ["x", "matrix"], ["p0"])]
    nodes += [helper.make_node("MatMul", [f"p{time}", "matrix"], [f"p{time + 1}"]) for time in range(times)]
    nodes.append(helper.make_node("ReduceMax", [f"p{times}"], ["max"], axes=[0, 1], keepdims=1))
    nodes.append(helper.make_node("Squeeze", ["max", "axis"], ["y"]))
    axis = onnx.numpy_helper.from_array(np.array([1], np.int64), "axis")
    graph = helper.make_graph(nodes, "slow", [x], [y], [matrix, axis])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def write_sum(path):
    """Writes a model whose state is the sum of what it was given: rows of one number."""
    number, whole = TensorProto.FLOAT, TensorProto.INT32
    tensor = helper.make_tensor_value_info
    inputs = [tensor(name, number, ["batch", 1]) for name in ("x", "before")]
    inputs += [tensor(name, whole, ["batch", 1]) for name in ("start", "end", "ready")]
    inputs.append(tensor("id", TensorProto.UINT64, ["batch", 1]))
    outputs = [tensor(name, number, ["batch", 1]) for name in ("sum", "after")]
    outputs.append(tensor("flags", whole, ["batch", 3]))
    outputs.append(tensor("whose", TensorProto.UINT64, ["batch", 1]))
    nodes = [
        helper.make_node("Add", ["x", "before"], ["sum"]),
        helper.make_node("Identity", ["sum"], ["after"]),
        helper.make_node("Concat", ["start", "end", "ready"], ["flags"], axis=1),
        helper.make_node("Identity", ["id"], ["whose"]),
    ]
    graph = helper.make_graph(nodes, "sum", inputs, outputs)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


SUM_CONFIG = """
    backend: "onnxruntime" max_batch_size: 8
    input [ { name: "x" data_type: TYPE_FP32 dims: [ 1 ] } ]
    output [ { name: "sum" data_type: TYPE_FP32 dims: [ 1 ] } ]
    sequence_batching {
      max_sequence_idle_microseconds: %d
      oldest { max_candidate_sequences: 4 }
      control_input [
        { name: "start" control [ { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } ] },
        { name: "end" control [ { kind: CONTROL_SEQUENCE_END int32_false_true: [ 0, 1 ] } ] },
        { name: "ready" control [ { kind: CONTROL_SEQUENCE_READY int32_false_true: [ 0, 1 ] } ] },
        { name: "id" control [ { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } ] }
      ]
      state [ {
        input_name: "before" output_name: "after" data_type: TYPE_FP32 dims: [ 1 ]
        initial_state { name: "initial" data_type: TYPE_FP32 dims: [ 1 ] %s }
      } ]
    }
"""
