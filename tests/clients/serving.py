"""A server with models of every kind, and what the tests of all clients share."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import models
import numpy as np
import onnxruntime

ROOT = Path(__file__).resolve().parents[2]


def same(got, expected):
    """Whether two arrays are equal bit for bit."""
    if expected.dtype == np.object_:
        return got.shape == expected.shape and list(got.flat) == list(expected.flat)
    return got.dtype == expected.dtype and got.shape == expected.shape and got.tobytes() == expected.tobytes()


def reference(path, feeds):
    """What ONNX Runtime answers in Python."""
    return onnxruntime.InferenceSession(path).run(None, feeds)


class Server:
    """A running server; it is told to stop when the tests of its class are done, and must then end well."""

    def __init__(self, *flags, folder=None, paths=None, log=False):
        """Serves a repository, some models by name, or models of every kind; `log` keeps what it logs."""
        self.folder = tempfile.TemporaryDirectory()
        self.paths = paths or ({"repository": folder} if folder else models.write_all(Path(self.folder.name)))
        arguments = [os.environ["ML_SERVE"], "--port", "0", "--log-level", "info" if log else "error", *flags]
        arguments += map(str, self.paths.values())
        self.log = open(Path(self.folder.name) / "log", "w") if log else None  # noqa: SIM115, it is closed by `stop`.
        self.process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        address = re.search(r"http://(\S+)", line)
        if address is None:
            self.process.wait(60)
            self.process.stdout.close()
            self.folder.cleanup()
            raise RuntimeError(f"the server did not start: {line!r}")
        self.address = address[1]
        grpc = re.search(r"grpc://(\S+)", line)
        self.grpc_address = grpc and grpc[1]

    def log_text(self):
        """What it has logged by now."""
        return Path(self.log.name).read_text()

    def logged(self, text):
        """How often this stands in its log by now."""
        return self.log_text().count(text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Stops the server, which must answer what it accepted and leave without complaint."""
        self.process.terminate()
        code = self.process.wait(60)
        self.process.stdout.close()
        if self.log:
            self.log.close()
        self.folder.cleanup()
        if code != 0:
            raise RuntimeError(f"the server ended with {code}")
