"""A repository in Triton's layout: configurations, versions, and models that come and go while requests do."""

import json
import shutil
import tempfile
import threading
import time
import unittest
from pathlib import Path

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.http as http
from tritonclient.utils import InferenceServerException

import models
from serving import Server, same


def add_to(folder, name, version, number, config=None):
    """Writes a version of a model that adds a number."""
    path = folder / name / str(version)
    path.mkdir(parents=True)
    models.write_add(path / "model.onnx", number)
    if config is not None:
        (folder / name / "config.pbtxt").write_text(config)


class Repositories(unittest.TestCase):
    """Each test has a repository and a server of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def serve(self, *flags):
        """Starts a server on the repository."""
        self.server = Server("--grpc-port", "0", *flags, folder=self.folder)
        self.addCleanup(self.server.stop)
        self.client = http.InferenceServerClient(self.server.address, concurrency=4)
        self.addCleanup(self.client.close)

    def added(self, name, version=""):
        """What the model adds to nothing."""
        given = http.InferInput("x", [1, 2], "FP32")
        given.set_data_from_numpy(np.zeros((1, 2), np.float32))
        return self.client.infer(name, [given], version).as_numpy("y").flat[0]

    def index(self):
        """The index: states by name and version."""
        entries = self.client.get_model_repository_index()
        return {(entry["name"], entry.get("version")): entry.get("state") for entry in entries}

    def test_configurations_say_what_is_served(self):
        add_to(self.folder, "latest", 1, 1.0)
        add_to(self.folder, "latest", 2, 2.0)
        add_to(self.folder, "latest", 10, 10.0, "")
        add_to(self.folder, "all", 1, 1.0)
        add_to(self.folder, "all", 3, 3.0, "version_policy: { all {} } max_batch_size: 8 backend: 'onnxruntime'")
        add_to(self.folder, "some", 1, 1.0)
        add_to(self.folder, "some", 2, 2.0, "version_policy { specific { versions: [1] } }")
        (self.folder / "labelled").mkdir()
        (self.folder / "labelled" / "labels.txt").write_text("cat\ndog\n")
        config = """
            name: "labelled" platform: "onnxruntime_onnx" max_batch_size: 4 # As people write them.
            input [ { name: "x" data_type: TYPE_FP32 dims: [ 2 ] } ]
            output [ { name: "y" data_type: TYPE_FP32 dims: [ 2 ] label_filename: "labels.txt" } ]
            instance_group [ { count: 2 kind: KIND_CPU } ]
            dynamic_batching { preferred_batch_size: [ 2, 4 ] max_queue_delay_microseconds: 100 }
        """
        add_to(self.folder, "labelled", 1, 1.0, config)
        self.serve()
        self.assertEqual(self.added("latest"), 10.0)
        self.assertEqual(self.client.get_model_metadata("latest")["versions"], ["10"])
        with self.assertRaisesRegex(InferenceServerException, "'latest' version 2 is not found"):
            self.added("latest", "2")
        self.assertEqual((self.added("all"), self.added("all", "1")), (3.0, 1.0))
        self.assertEqual(self.client.get_model_metadata("all")["versions"], ["1", "3"])
        self.assertEqual(self.client.get_model_metadata("all", "1")["versions"], ["1"])
        self.assertEqual(self.added("some"), 1.0)
        self.assertEqual(self.client.get_model_config("all")["max_batch_size"], 8)
        given = http.InferInput("x", [9, 2], "FP32")
        given.set_data_from_numpy(np.zeros((9, 2), np.float32))
        with self.assertRaisesRegex(InferenceServerException, "inference request batch-size must be <= 8 for 'all'"):
            self.client.infer("all", [given])
        config = self.client.get_model_config("labelled")
        self.assertEqual(config["dynamic_batching"]["preferred_batch_size"], [2, 4])
        self.assertEqual(config["input"][0]["data_type"], "TYPE_FP32")
        self.assertEqual(config["instance_group"][0]["count"], 2)
        given = http.InferInput("x", [1, 2], "FP32")
        given.set_data_from_numpy(np.array([[1, 2]], np.float32))
        wanted = [http.InferRequestedOutput("y", class_count=2)]
        classes = self.client.infer("labelled", [given], outputs=wanted).as_numpy("y")
        self.assertEqual(classes.tolist(), [[b"3.000000:1:dog", b"2.000000:0:cat"]])
        with self.assertRaisesRegex(InferenceServerException, "explicit model load / unload is not allowed"):
            self.client.load_model("all")

    def test_models_are_loaded_and_unloaded_as_they_are_told(self):
        add_to(self.folder, "m", 1, 1.0)
        self.serve("--model-control", "explicit")
        self.assertEqual(self.index(), {("m", None): None})
        self.assertFalse(self.client.is_model_ready("m"))
        with self.assertRaisesRegex(InferenceServerException, "Request for unknown model: 'm' is not found"):
            self.added("m")
        self.client.load_model("m")
        self.assertEqual((self.added("m"), self.index()), (1.0, {("m", "1"): "READY"}))
        add_to(self.folder, "m", 2, 2.0)
        self.client.load_model("m")
        self.assertEqual(self.added("m"), 2.0)
        self.assertEqual(self.index(), {("m", "1"): "UNAVAILABLE", ("m", "2"): "READY"})

        # What cannot be loaded leaves what is served alone.
        (self.folder / "m" / "3").mkdir()
        (self.folder / "m" / "3" / "model.onnx").write_bytes(b"no model")
        with self.assertRaisesRegex(InferenceServerException, "failed to load 'm'"):
            self.client.load_model("m")
        self.assertEqual(self.added("m"), 2.0)
        shutil.rmtree(self.folder / "m" / "3")
        for config in ('{"backend":"python"}', '{"input":[{"name":"nosuch"}]}', '{"max_batch_size":[1]}', "{"):
            with self.assertRaisesRegex(InferenceServerException, "failed to load 'm'"):
                self.client.load_model("m", config=config)
        with self.assertRaisesRegex(
            InferenceServerException, "failed to load 'nosuch', failed to poll from model repository"
        ):
            self.client.load_model("nosuch")
        with self.assertRaisesRegex(InferenceServerException, "must not contain path traversal"):
            self.client.load_model("..")

        # Numbers may be texts, as protocol buffers have it.
        self.client.load_model("m", config=json.dumps({"max_batch_size": "16", "versionPolicy": {"all": {}}}))
        self.assertEqual(self.client.get_model_config("m")["max_batch_size"], 16)
        self.assertEqual((self.added("m", "1"), self.added("m", "2")), (1.0, 2.0))
        self.client.unload_model("m")
        self.assertFalse(self.client.is_model_ready("m"))
        self.assertEqual(set(self.index().values()), {"UNAVAILABLE"})
        with self.assertRaisesRegex(InferenceServerException, "'m' has no available versions"):
            self.client.get_model_metadata("m")
        self.client.unload_model("never")

    def test_the_same_over_grpc(self):
        add_to(self.folder, "m", 1, 1.0)
        self.serve("--model-control", "explicit")
        client = grpc.InferenceServerClient(self.server.grpc_address)
        self.addCleanup(client.close)
        client.load_model("m", config='{"max_batch_size": 16}')
        self.assertTrue(client.is_model_ready("m"))
        self.assertEqual(client.get_model_config("m").config.max_batch_size, 16)
        [entry] = client.get_model_repository_index().models
        self.assertEqual((entry.name, entry.version, entry.state), ("m", "1", "READY"))
        client.unload_model("m")
        self.assertFalse(client.is_model_ready("m"))
        with self.assertRaisesRegex(InferenceServerException, "NOT_FOUND.*failed to load 'nosuch'"):
            client.load_model("nosuch")

    def test_a_reload_loses_no_request(self):
        add_to(self.folder, "m", 1, 1.0)
        self.serve("--model-control", "explicit")
        self.client.load_model("m")
        failures, counts, over = [], [0], threading.Event()

        def ask():
            client = http.InferenceServerClient(self.server.address)
            given = http.InferInput("x", [1, 2], "FP32")
            given.set_data_from_numpy(np.zeros((1, 2), np.float32))
            while not over.is_set():
                try:
                    if not same(client.infer("m", [given]).as_numpy("y"), np.ones((1, 2), np.float32)):
                        failures.append("a wrong answer")
                    counts[0] += 1
                except InferenceServerException as error:
                    failures.append(str(error))
            client.close()

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(100):
            self.client.load_model("m")
        over.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertGreater(counts[0], 100)

    def test_polling_follows_the_folder(self):
        add_to(self.folder, "m", 1, 1.0)
        self.serve("--model-control", "poll", "--repository-poll-ms", "20")
        self.assertEqual(self.added("m"), 1.0)

        def becomes(expected, ask):
            end = time.monotonic() + 30
            while ask() != expected:
                self.assertLess(time.monotonic(), end, f"it does not become {expected}")
                time.sleep(0.02)

        staged = self.folder.parent / f"{self.folder.name}-staged"
        self.addCleanup(shutil.rmtree, staged, True)
        add_to(staged, "m", 2, 2.0)
        (staged / "m" / "2").rename(self.folder / "m" / "2")
        becomes(2.0, lambda: self.added("m"))
        add_to(staged, "n", 1, 5.0)
        (staged / "n").rename(self.folder / "n")
        becomes(True, lambda: self.client.is_model_ready("n"))
        (self.folder / "n").rename(staged / "gone")
        becomes(False, lambda: self.client.is_model_ready("n"))
        self.assertEqual(self.added("m"), 2.0)

    def test_a_configuration_bounds_the_queue_and_orders_it(self):
        policy = "default_queue_policy { max_queue_size: 2 }"
        for name, config in (("short", policy), ("ordered", "priority_levels: 2 default_priority_level: 2")):
            (self.folder / name / "1").mkdir(parents=True)
            models.write_slow(self.folder / name / "1" / "model.onnx")
            (self.folder / name / "config.pbtxt").write_text(f"dynamic_batching {{ {config} }}")
        # One at a time: what is in a batch that runs is waited for, whatever comes.
        self.serve("--batch-items-max", "1")
        answered = []

        def ask(model, number, priority=0):
            client = http.InferenceServerClient(self.server.address, network_timeout=600)
            given = http.InferInput("x", [1], "FP32")
            # Each its own: equal requests in flight would be one.
            given.set_data_from_numpy(np.array([number], np.float32))
            try:
                client.infer(model, [given], priority=priority)
                answered.append((number, None))
            except InferenceServerException as error:
                answered.append((number, str(error)))
            client.close()

        def ask_all(model, numbers):
            threads = [threading.Thread(target=ask, args=(model, number)) for number in numbers]
            for thread in threads:
                thread.start()
            return threads

        for thread in ask_all("short", range(16)):
            thread.join()
        refused = [error for _, error in answered if error is not None]
        self.assertGreater(len(refused), 0)
        self.assertLess(len(refused), 16)
        for error in refused:
            self.assertRegex(error, "Exceeds maximum queue size: .* the queue takes 2")

        answered.clear()
        threads = ask_all("ordered", range(16))
        while self.client.get_inference_statistics("ordered")["model_stats"][0]["inference_count"] == 0:
            time.sleep(0.01)
        ask("ordered", 99, priority=1)
        before = len(answered)
        for thread in threads:
            thread.join()
        self.assertEqual({error for _, error in answered}, {None})
        # Those that were being run when it came are before it, not those that waited.
        self.assertLess(before, 12)

    def test_many_models_start_at_once(self):
        for number in range(200):
            add_to(self.folder, f"m{number}", 1, float(number))
        self.serve()
        for number in range(200):
            self.assertEqual(self.added(f"m{number}"), number)

    def test_a_repository_with_a_broken_model_does_not_start(self):
        add_to(self.folder, "m", 1, 1.0, "max_batch_size: many")
        with self.assertRaisesRegex(RuntimeError, "did not start"):
            Server(folder=self.folder)


if __name__ == "__main__":
    unittest.main()
