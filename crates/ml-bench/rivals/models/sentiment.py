"""The sentiment model as examples/sentiment has it: tokenise, pad to the longest, name the winner."""

from typing import Annotated

import numpy as np
from annotated_types import Len
from tokenizers import Tokenizer
from typing_extensions import TypedDict  # pydantic refuses the one of Python 3.11

from models import ROOT, session

FOLDER = ROOT / ".ml" / "models" / "sentiment"
BATCH_MAX = 8  # more only pads more
BATCH_WAIT_MS = 5  # less than one run takes
TOKENS_MAX = 256  # where the tokenizer does not say


class Item(TypedDict):
    """What a caller sends."""

    text: Annotated[str, Len(1, 64 * 1024)]


class Answer(TypedDict):
    """What the caller gets back: the likelier label and its probability."""

    label: str
    score: float


class Cleaner:
    """Turns a text into token ids."""

    def __init__(self) -> None:
        self.tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
        self.tokenizer.no_padding()
        if self.tokenizer.truncation is None:
            self.tokenizer.enable_truncation(TOKENS_MAX)

    def clean(self, item: Item) -> list[int]:
        """Returns the text's tokens, unpadded: the batch decides how long a row is."""
        return self.tokenizer.encode(item["text"]).ids


class Predictor:
    """Runs the model."""

    def __init__(self) -> None:
        self.session = session(FOLDER)

    def predict_batch(self, batch: list[list[int]]) -> list[Answer]:
        """Answers texts of any lengths in one run."""
        ids = np.zeros((len(batch), max(map(len, batch))), np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (probabilities,) = self.session.run(["probabilities"], inputs)
        return [answer(positive) for positive in probabilities[:, 1].tolist()]


def answer(positive: float) -> Answer:
    """Names the likelier label; a tie is positive."""
    if positive >= 0.5:
        return {"label": "positive", "score": positive}
    return {"label": "negative", "score": 1 - positive}
