"""Writes what Python answers to the test texts, so that any server of the same model can be compared.

python reference.py MODEL_FOLDER VADER_PACKAGE     writes MODEL_FOLDER/test.ndjson
"""

import json
import sys
from pathlib import Path

import vader
from runner import Runner, answer


def main(folder, package):
    """Runs the model over the test split."""
    folder = Path(folder)
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


if __name__ == "__main__":
    main(*sys.argv[1:])
