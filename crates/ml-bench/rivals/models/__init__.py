"""What the rivals serve: the model that the variable MODEL names, the same code under every framework."""

import os
from importlib import import_module
from pathlib import Path

from onnxruntime import InferenceSession, SessionOptions

ROOT = Path(__file__).resolve().parents[4]
WORKERS = 2  # processes that run the model, one thread each: the two cores that every server gets


def session(folder: Path) -> InferenceSession:
    """Opens a folder's model on one thread: the processes use the cores, more threads would fight for them."""
    options = SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])


MODEL = import_module(f"models.{os.environ.get('MODEL', 'sentiment')}")
