"""Trains the house price model and writes examples/models/house_price: the model, and test houses with answers.

    .ml/python/bin/python scripts/models/house_price.py     after `python3 scripts/get.py reference`

The houses are made up, by the formula in `prices`: real ones come with no licence to pass them on. Deterministic: the
same packages (requirements-train.txt) write the same bytes.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import tabular
from onnx import helper
from sklearn.metrics import r2_score
from sklearn.neural_network import MLPRegressor

OUT = Path(__file__).resolve().parents[2] / "examples" / "models" / "house_price"
FIELDS = ("area_m2", "rooms", "age_years", "income_keur", "schools", "minutes")
HOUSES, TESTS, HIDDEN = 4000, 100, 16


def main():
    """Trains, writes the model, reads it back, and writes what it answers."""
    random = np.random.default_rng(0)
    houses = made_up(random)
    known = prices(houses) * random.normal(1, 0.05, HOUSES)
    train, test = slice(TESTS, None), slice(TESTS)
    mean, scale = houses[train].mean(axis=0), houses[train].std(axis=0)
    level, spread = known[train].mean(), known[train].std()
    network = MLPRegressor(hidden_layer_sizes=(HIDDEN,), solver="lbfgs", alpha=0.01, max_iter=2000, random_state=0)
    network.fit((houses[train] - mean) / scale, (known[train] - level) / spread)
    guessed = network.predict((houses[test] - mean) / scale) * spread + level
    score = r2_score(known[test], guessed)
    print(f"R2 on the {TESTS} test houses: {score:.4f}")
    write_model(mean, scale, level, spread, network, score)
    write_answers(houses[test], known[test])


def made_up(random):
    """Houses of every size and age, in districts from poor to rich, from the centre to an hour away."""
    area = random.uniform(35, 220, HOUSES)
    columns = [
        area,
        np.clip(np.round(area / 28 + random.normal(0, 0.7, HOUSES)), 1, 9),
        random.uniform(0, 120, HOUSES),
        random.uniform(18, 90, HOUSES),
        random.uniform(1, 10, HOUSES),
        random.uniform(2, 60, HOUSES),
    ]
    return np.stack(columns, axis=1).round(1)


def prices(houses):
    """Thousands of euros: by the square metre, less for age and distance, more for what is around."""
    area, rooms, age, income, schools, minutes = houses.T
    per_m2 = 1.2 + 0.05 * income + 0.12 * schools + 3 * np.exp(-minutes / 20)
    return area * per_m2 * (1 - 0.3 * np.minimum(age, 80) / 80) + 6 * rooms


def write_model(mean, scale, level, spread, network, score):
    """The scaling and both layers as one graph, so that a caller sends plain numbers."""
    first, second = network.coefs_
    constants = {
        "mean": mean,
        "scale": scale,
        "hidden.weight": first,
        "hidden.bias": network.intercepts_[0],
        "price.weight": second * spread,
        "price.bias": network.intercepts_[1] * spread + level,
    }
    nodes = [
        helper.make_node("Sub", ["features", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["standardised"]),
        helper.make_node("Gemm", ["standardised", "hidden.weight", "hidden.bias"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["activated"]),
        helper.make_node("Gemm", ["activated", "price.weight", "price.bias"], ["price"]),
    ]
    outline = tabular.Outline("house_price", FIELDS, ("price", 1))
    properties = {
        "features": ",".join(FIELDS),
        "license": "MIT OR Apache-2.0",
        "data": "made up by scripts/models/house_price.py",
        "test_r2": f"{score:.4f}",
    }
    tabular.save(OUT / "model.onnx", outline, nodes, constants, properties)


def write_answers(houses, known):
    """One line per test house: its features, its price by the formula, and what ONNX Runtime answers in Python."""
    session = onnxruntime.InferenceSession(OUT / "model.onnx", providers=["CPUExecutionProvider"])
    with (OUT / "test.ndjson").open("w", encoding="utf-8") as file:
        for house, price in zip(houses, known):
            answer = session.run(None, {"features": house[None].astype(np.float32)})[0][0][0]
            line = {"item": {"features": list(map(float, house))}, "label": round(float(price), 1)}
            file.write(json.dumps({**line, "expected": {"price": [float(f"{answer:.6g}")]}}) + "\n")


if __name__ == "__main__":
    main()
