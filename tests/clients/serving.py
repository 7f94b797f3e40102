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

    def __init__(self, *flags, folder=None, paths=None):
        """Serves a repository, certain models, or models of every kind."""
        self.folder = tempfile.TemporaryDirectory()
        self.paths = paths or ({"repository": folder} if folder else models.write_all(Path(self.folder.name)))
        arguments = [os.environ["ML_SERVE"], "--port", "0", "--log-level", "error", *flags]
        arguments += map(str, self.paths.values())
        self.process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True)
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

    def stop(self):
        """Stops the server, which must answer what it accepted and leave without complaint."""
        self.process.terminate()
        code = self.process.wait(60)
        self.process.stdout.close()
        self.folder.cleanup()
        if code != 0:
            raise RuntimeError(f"the server ended with {code}")
