"""Writes the sentiment model: all-MiniLM-L6-v2 with our head, as ONNX for padded and for packed
batches, and its tokenizer.

    python minilm.py SOURCE_FOLDER OUT_FOLDER

SOURCE_FOLDER holds model.safetensors, config.json and tokenizer.json. The head's numbers are in
sentiment_head.json, which train_head.py makes.
"""

import json
import sys
from pathlib import Path

import onnx
from safetensors.numpy import load_file

import bert
import packed

MAX_TOKENS = 256  # What the encoder was trained for; its position table goes to 512.
HEAD = Path(__file__).with_name("sentiment_head.json")


def load(source):
    """The weights and the sizes of the encoder in `source`."""
    config = json.loads((source / "config.json").read_text("utf-8"))
    return load_file(source / "model.safetensors"), bert.Config.of(config)


def tokenizer(source):
    """The tokenizer, cutting at MAX_TOKENS; padding is left to whoever makes the batch."""
    settings = json.loads((source / "tokenizer.json").read_text("utf-8"))
    cut = {"direction": "Right", "max_length": MAX_TOKENS, "strategy": "LongestFirst", "stride": 0}
    return json.dumps({**settings, "truncation": cut, "padding": None}, ensure_ascii=False)


def metadata(head):
    """What the file says about itself."""
    return {
        "encoder": "all-MiniLM-L6-v2",
        "license": "Apache-2.0 (the encoder); MIT OR Apache-2.0 (the sentiment head)",
        "labels": "negative,positive",
        "max_tokens": str(MAX_TOKENS),
        "test_accuracy": str(head["test_accuracy"]),
    }


def main(source, out):
    """Writes the files, each under its own name only when it is whole."""
    source, out = Path(source), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    head = json.loads(HEAD.read_text("utf-8"))
    weights, config = load(source)
    for name, form in (("model.onnx", bert), ("model.packed.onnx", packed)):
        part = out / f"{name}.part"
        onnx.save(form.sentiment_model(weights, config, head, metadata(head)), part)
        part.rename(out / name)
    part = out / "tokenizer.json.part"
    part.write_text(tokenizer(source), "utf-8")
    part.rename(out / "tokenizer.json")


if __name__ == "__main__":
    main(*sys.argv[1:])
