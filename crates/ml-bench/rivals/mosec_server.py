"""mosec: HTTP and batching in Rust, one stage of Python processes that prepare and one that predicts.

python crates/ml-bench/rivals/mosec_server.py --port 8103
"""

from typing import Any

from mosec import Server, Worker

from models import MODEL, WORKERS


class Preprocess(Worker):
    """Prepares one item."""

    def __init__(self) -> None:
        super().__init__()
        self.cleaner = MODEL.Cleaner()

    def forward(self, data: MODEL.Item) -> Any:
        """Takes the request's JSON, hands on what the model eats."""
        return self.cleaner.clean(data)


class Inference(Worker):
    """Answers a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.predictor = MODEL.Predictor()

    def forward(self, data: list[Any]) -> list[MODEL.Answer]:
        """Takes what mosec gathered, gives an answer for each."""
        return self.predictor.predict_batch(data)


if __name__ == "__main__":
    server = Server()
    server.append_worker(Preprocess, num=WORKERS)
    server.append_worker(
        Inference, num=WORKERS, max_batch_size=MODEL.BATCH_MAX, max_wait_time=MODEL.BATCH_WAIT_MS
    )
    server.run()
