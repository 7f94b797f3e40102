"""Writes what Python answers to the test texts, so that any server of the same model can be compared; some of the
training texts, to calibrate variants of the model with; and texts of another kind than all of these, newspaper editorials.

python reference.py MODEL_FOLDER VADER_PACKAGE     writes test.ndjson, calibration.ndjson and editorials.ndjson there
"""

import json
import sys
from pathlib import Path

import vader
from runner import Runner, answer


CALIBRATION_TEXTS = 2048


def main(folder, package):
    """Runs the model over the test split, and picks from the other one."""
    folder = Path(folder)
    write(folder / "calibration.ndjson", spread(vader.labelled(package)[0], CALIBRATION_TEXTS))
    write(folder / "editorials.ndjson", [text for text in vader.read(package, [vader.EDITORIALS]) if text.label])
    runner = Runner(str(folder / "model.onnx"), (folder / "tokenizer.json").read_text("utf-8"))
    texts = vader.labelled(package)[1]
    right = 0
    part = folder / "test.ndjson.part"
    with part.open("w", encoding="utf-8") as file:
        for text in texts:
            expected = answer(*runner.one(text.text, ["sentence_embedding", "probabilities"]))
            right += expected["label"] == text.label
            line = {"item": {"text": text.text, "embedding": True}, "label": text.label, "expected": expected}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    part.rename(folder / "test.ndjson")
    print(f"accuracy on the {len(texts)} test texts: {right / len(texts):.4f}")


def spread(texts, count):
    """Some texts from all over the training split, which follows its sources' order."""
    return [texts[number * len(texts) // count] for number in range(count)]


def write(path, texts):
    """Texts and their labels, one a line."""
    part = Path(f"{path}.part")
    with part.open("w", encoding="utf-8") as file:
        for text in texts:
            line = {"item": {"text": text.text}, "label": text.label}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    part.rename(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
