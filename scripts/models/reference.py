"""Writes what Python answers to the test texts, so that any server of the same model can be compared, and some of
the training texts, to calibrate variants of the model with.

python reference.py MODEL_FOLDER VADER_PACKAGE     writes MODEL_FOLDER/test.ndjson and calibration.ndjson
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
    write_calibration(folder, vader.labelled(package)[0])
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


def write_calibration(folder, texts):
    """Texts from all over the training split, which follows its sources' order."""
    picked = [texts[number * len(texts) // CALIBRATION_TEXTS] for number in range(CALIBRATION_TEXTS)]
    part = folder / "calibration.ndjson.part"
    with part.open("w", encoding="utf-8") as file:
        for text in picked:
            line = {"item": {"text": text.text}, "label": text.label}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    part.rename(folder / "calibration.ndjson")


if __name__ == "__main__":
    main(*sys.argv[1:])
