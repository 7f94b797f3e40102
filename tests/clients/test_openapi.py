"""schemathesis: requests of every kind that the OpenAPI document allows, and of many that it does not."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import tritonclient.http as http

import models
from serving import ROOT, Server

# The others ask for what HTTP does not: that unknown headers are refused, or that headers which contradict a body are not.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
]


class Documents(unittest.TestCase):
    def check(self, server, *arguments):
        """Runs schemathesis, which must find nothing."""
        command = [Path(sys.executable).parent / "schemathesis", "run", f"http://{server.address}/openapi.json"]
        options = ["--checks", ",".join(CHECKS), "--seed", "1", "--generation-deterministic", "--no-color"]
        hooks = ROOT / "tests" / "clients"
        ran = subprocess.run(
            [*map(str, command), *options, "--max-examples", "25", *arguments],
            cwd=server.folder.name,
            env={**os.environ, "PYTHONPATH": str(hooks), "SCHEMATHESIS_HOOKS": "schemathesis_hooks"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_models_and_protocols_answer_as_documented(self):
        with tempfile.TemporaryDirectory() as folder:
            paths = models.write_all(Path(folder))
            wanted = ("simple", "identity_BOOL", "identity_BYTES", "identity_FP16", "identity_UINT64", "scalar")
            flags = ("--shared-memory-bytes-max", "1MiB", "--remote-settings", "on")
            with Server(*flags, paths={name: paths[name] for name in wanted}) as server:
                self.check(server)

    def test_a_repository_answers_as_documented(self):
        with tempfile.TemporaryDirectory() as folder:
            version = Path(folder) / "m" / "1"
            version.mkdir(parents=True)
            models.write_add(version / "model.onnx", 1.0)
            with Server("--model-control", "explicit", folder=Path(folder)) as server:
                client = http.InferenceServerClient(server.address)
                client.load_model("m")
                client.close()
                self.check(server, "--include-path-regex", "repository|/m|config|ready|live")


if __name__ == "__main__":
    unittest.main()
