"""The addition model: almost no work, so that what is measured is the server."""

from typing import Annotated

import numpy as np
from annotated_types import Len
from typing_extensions import TypedDict  # pydantic refuses the one of Python 3.11

from models import ROOT, session

FOLDER = ROOT / "examples" / "models" / "addition"
BATCH_MAX = 32
BATCH_WAIT_MS = 1
Row = Annotated[list[float], Len(2, 2)]


class Item(TypedDict):
    """What a caller sends."""

    a: Row
    b: Row


class Answer(TypedDict):
    """What the caller gets back."""

    sum: Row


class Cleaner:
    """Puts the two rows side by side."""

    def clean(self, item: Item) -> tuple[Row, Row]:
        """Returns both rows; the batch makes them arrays."""
        return item["a"], item["b"]


class Predictor:
    """Runs the model."""

    def __init__(self) -> None:
        self.session = session(FOLDER)

    def predict_batch(self, batch: list[tuple[Row, Row]]) -> list[Answer]:
        """Adds all pairs in one run."""
        pairs = np.array(batch, np.float32)
        (sums,) = self.session.run(["sum"], {"a": pairs[:, 0], "b": pairs[:, 1]})
        return [{"sum": row} for row in sums.tolist()]
