"""LitServe: processes for HTTP, processes for the model, and batches of what arrives close together.

python crates/ml-bench/rivals/litserve_server.py PORT
"""

import signal
import sys
from typing import Any

import litserve

from models import MODEL, WORKERS


class Rival(litserve.LitAPI):
    """Tokenises and predicts in the model's processes; LitServe batches in between."""

    def setup(self, device: str) -> None:
        """Loads the model, once in each process."""
        self.cleaner = MODEL.Cleaner()
        self.predictor = MODEL.Predictor()

    def decode_request(self, request: MODEL.Item) -> Any:
        """Prepares one item."""
        return self.cleaner.clean(request)

    def predict(self, x: list[Any]) -> list[MODEL.Answer]:
        """Answers a batch."""
        return self.predictor.predict_batch(x)


if __name__ == "__main__":
    # LitServe ends its processes after Ctrl-C only; a plain SIGTERM would leave them behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = litserve.LitServer(
        Rival(max_batch_size=MODEL.BATCH_MAX, batch_timeout=MODEL.BATCH_WAIT_MS / 1000),
        accelerator="cpu",
        workers_per_device=WORKERS,
        fast_queue=True,
    )
    server.run(host="127.0.0.1", port=sys.argv[1], log_level="warning", generate_client_file=False)
