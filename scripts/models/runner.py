"""Runs a text model in Python: tokenizer and ONNX Runtime on the CPU. Needs requirements-train.txt."""

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


class Runner:
    """A tokenizer and a model; texts in, rows of the model's outputs out."""

    def __init__(self, model, tokenizer):
        """Takes the model's bytes or path, and the tokenizer.json's content."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_str(tokenizer)

    def run(self, texts, output):
        """The rows of `output`, one text at a time: no padding, so no row depends on its neighbours."""
        return np.stack([self.one(text, [output])[0] for text in texts])

    def one(self, text, outputs):
        """The named outputs for one text."""
        encoding = self.tokenizer.encode(text)
        inputs = {
            "input_ids": [encoding.ids],
            "attention_mask": [encoding.attention_mask],
            "token_type_ids": [encoding.type_ids],
        }
        tensors = {name: np.array(rows, np.int64) for name, rows in inputs.items()}
        return [rows[0] for rows in self.session.run(outputs, tensors)]


def answer(embedding, probabilities):
    """What a sentiment service answers for one text; a tie is positive."""
    negative, positive = map(float, probabilities)
    label = "positive" if positive >= 0.5 else "negative"
    return {
        "label": label,
        "score": short(max(negative, positive)),
        "embedding": [short(x) for x in embedding],
    }


def short(number):
    """A float32 with the seven digits that matter."""
    return float(f"{number:.7g}")
