"""Writes the ONNX files of the tabular models: a row of plain numbers in, another one out."""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


@dataclass
class Outline:
    """What a caller sees of a model: its name, the fields of a row of `features`, and the output's name and width."""

    name: str
    fields: tuple
    output: tuple


def save(path, outline, nodes, constants, properties):
    """Puts nodes and constants together, checks the model, and writes it."""
    output, width = outline.output
    graph = helper.make_graph(
        nodes,
        outline.name,
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", len(outline.fields)])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", width])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, properties)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
