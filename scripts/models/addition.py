"""Writes examples/models/addition: one Add node, and pairs with their sums, to measure all but the model.

    .ml/python/bin/python scripts/models/addition.py     after `python3 scripts/get.py sentiment`

Deterministic: the same packages (requirements.txt) write the same bytes.
"""

import json
import random
from pathlib import Path

import onnx
from onnx import TensorProto, helper

OUT = Path(__file__).resolve().parents[2] / "examples" / "models" / "addition"
WIDTH = 2
PAIRS = 64


def main():
    """Writes the model and the pairs."""
    OUT.mkdir(exist_ok=True)
    write_model()
    write_answers()


def write_model():
    """One node: whatever else a request takes is the server's own time."""
    a, b, total = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", WIDTH]) for name in ("a", "b", "sum")
    )
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["sum"])], "addition", [a, b], [total])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"license": "MIT OR Apache-2.0"})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, OUT / "model.onnx")


def write_answers():
    """One pair a line. Quarters of small numbers are exact in float32, so the sums are too."""
    numbers = random.Random(0)

    def row():
        return [numbers.randrange(-4000, 4000) / 4 for _ in range(WIDTH)]

    with (OUT / "test.ndjson").open("w", encoding="utf-8") as file:
        for _ in range(PAIRS):
            item = {"a": row(), "b": row()}
            expected = {"sum": [x + y for x, y in zip(item["a"], item["b"])]}
            file.write(json.dumps({"item": item, "expected": expected}) + "\n")


if __name__ == "__main__":
    main()
