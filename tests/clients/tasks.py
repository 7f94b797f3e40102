"""Folders of the tiny models of tests/data/tasks, as Hugging Face's tools export them."""

import json
import shutil

from serving import ROOT

DATA = ROOT / "tests" / "data"
EXPECTED = json.loads((DATA / "tasks" / "expected.json").read_text("utf-8"))
SETTINGS = {"model_type": "bert", "max_position_embeddings": 32, "pad_token_id": 0}


def write_text(folder, model, **settings):
    """Writes a text model; returns its folder."""
    (folder / "onnx").mkdir(parents=True)
    shutil.copyfile(DATA / "tasks" / f"{model}.onnx", folder / "onnx" / "model.onnx")
    shutil.copyfile(DATA / "tiny-sentiment" / "tokenizer.json", folder / "tokenizer.json")
    (folder / "config.json").write_text(json.dumps({**SETTINGS, **settings}))
    return folder


def write_all(folder):
    """Writes a model for each task that has a protocol of its own; returns their folders by name."""
    sequence = {"architectures": ["BertForSequenceClassification"]}
    labels = {str(number): label for number, label in enumerate(["bad", "fair", "good"])}
    return {
        "embedder": write_text(folder / "embedder", "states", architectures=["BertModel"]),
        "classifier": write_text(folder / "classifier", "classes", id2label=labels, **sequence),
        "reranker": write_text(folder / "reranker", "score", id2label={"0": "LABEL_0"}, **sequence),
    }
