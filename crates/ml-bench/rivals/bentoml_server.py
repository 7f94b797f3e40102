"""BentoML: a process a core, each with its own adaptive batching, which learns how long to wait.

PYTHONPATH=crates/ml-bench/rivals bentoml serve bentoml_server:Rival --port 8104
"""

import bentoml

from models import MODEL, WORKERS


@bentoml.service(workers=WORKERS, logging={"access": {"enabled": False}})
class Rival:
    """Tokenises and predicts in one process."""

    def __init__(self) -> None:
        self.cleaner = MODEL.Cleaner()
        self.predictor = MODEL.Predictor()

    @bentoml.api(batchable=True, max_batch_size=MODEL.BATCH_MAX)
    def predict(self, items: list[MODEL.Item]) -> list[MODEL.Answer]:
        """Answers the items of one caller or, gathered, of several."""
        return self.predictor.predict_batch([self.cleaner.clean(item) for item in items])
