"""Trains the iris classifier and writes examples/models/iris: the model, and test flowers with answers.

    .ml/python/bin/python scripts/models/iris.py     after `python3 scripts/get.py reference`

Deterministic: the same packages (requirements-train.txt) write the same bytes.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import tabular
from onnx import helper
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

OUT = Path(__file__).resolve().parents[2] / "examples" / "models" / "iris"
FIELDS = ("sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm")
HIDDEN = 8


def main():
    """Trains, writes the model, reads it back, and writes what it answers."""
    iris = load_iris()
    names = [str(name) for name in iris.target_names]
    train, test, train_species, test_species = train_test_split(
        iris.data, iris.target, test_size=0.3, stratify=iris.target, random_state=0
    )
    mean, scale = train.mean(axis=0), train.std(axis=0)
    network = MLPClassifier((HIDDEN,), solver="lbfgs", alpha=0.1, max_iter=1000, random_state=0)
    network.fit((train - mean) / scale, train_species)
    accuracy = network.score((test - mean) / scale, test_species)
    print(f"accuracy on the {len(test)} test flowers: {accuracy:.4f}")
    write_model(mean, scale, network, names, accuracy)
    write_answers(test, [names[one] for one in test_species], names)


def write_model(mean, scale, network, names, accuracy):
    """The scaling and both layers as one graph, so that a caller sends plain centimetres."""
    first, second = network.coefs_
    constants = {
        "mean": mean,
        "scale": scale,
        "hidden.weight": first,
        "hidden.bias": network.intercepts_[0],
        "species.weight": second,
        "species.bias": network.intercepts_[1],
    }
    nodes = [
        helper.make_node("Sub", ["features", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["standardised"]),
        helper.make_node("Gemm", ["standardised", "hidden.weight", "hidden.bias"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["activated"]),
        helper.make_node("Gemm", ["activated", "species.weight", "species.bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    outline = tabular.Outline("iris", FIELDS, ("probabilities", len(names)))
    properties = {
        "labels": ",".join(names),
        "features": ",".join(FIELDS),
        "license": "MIT OR Apache-2.0",
        "data": "iris (R. A. Fisher, 1936), as scikit-learn carries it",
        "test_accuracy": f"{accuracy:.4f}",
    }
    tabular.save(OUT / "model.onnx", outline, nodes, constants, properties)


def write_answers(flowers, labels, names):
    """One line per test flower: the item, the right species, and what ONNX Runtime answers in Python."""
    session = onnxruntime.InferenceSession(OUT / "model.onnx", providers=["CPUExecutionProvider"])
    with (OUT / "test.ndjson").open("w", encoding="utf-8") as file:
        for flower, label in zip(flowers, labels):
            row = session.run(None, {"features": flower[None].astype(np.float32)})[0][0]
            best = int(row.argmax())
            expected = {"species": names[best], "probability": float(f"{row[best]:.7g}")}
            item = dict(zip(FIELDS, map(float, flower)))
            file.write(json.dumps({"item": item, "label": label, "expected": expected}) + "\n")


if __name__ == "__main__":
    main()
