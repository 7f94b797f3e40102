"""Models that remember: sequences of requests, with the states and control inputs of a configuration."""

import queue
import tempfile
import threading
import unittest
from pathlib import Path

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.http as http
from tritonclient.utils import InferenceServerException

import models
from serving import Server


class Sequences(unittest.TestCase):
    """Each test has a repository with a model that sums what it is given."""

    def serve(self, *flags, idle_us=60_000_000, initial="zero_data: true"):
        """Starts a server, and a client of each kind."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        model = Path(folder.name) / "sum"
        (model / "1").mkdir(parents=True)
        models.write_sum(model / "1" / "model.onnx")
        (model / "config.pbtxt").write_text(models.SUM_CONFIG % (idle_us, initial))
        (model / "initial_state").mkdir()
        (model / "initial_state" / "hundred").write_bytes(np.array([100], np.float32).tobytes())
        self.server = Server("--grpc-port", "0", *flags, folder=Path(folder.name))
        self.addCleanup(self.server.stop)
        clients = [
            http.InferenceServerClient(self.server.address, concurrency=8),
            grpc.InferenceServerClient(self.server.grpc_address),
        ]
        for client in clients:
            self.addCleanup(client.close)
        return clients

    def given(self, client, number):
        """One row with a number."""
        module = http if isinstance(client, http.InferenceServerClient) else grpc
        given = module.InferInput("x", [1, 1], "FP32")
        given.set_data_from_numpy(np.array([[number]], np.float32))
        return [given]

    def ask(self, client, number, sequence, start=False, end=False):
        """The answer to the next number of a sequence."""
        return client.infer(
            "sum", self.given(client, number), sequence_id=sequence, sequence_start=start, sequence_end=end
        )

    def sum(self, *arguments, **flags):
        return self.ask(*arguments, **flags).as_numpy("sum").item()

    def test_each_sequence_has_its_own_sum(self):
        for client in self.serve():
            for sequence in (7, "seven", 2**63 - 1):
                if isinstance(sequence, str):
                    # The model is told the identifier as a number.
                    with self.assertRaisesRegex(InferenceServerException, "the correlation ID seven does not fit"):
                        self.sum(client, 1, sequence, start=True)
                    continue
                self.assertEqual(self.sum(client, 1, sequence, start=True), 1)
                self.assertEqual(self.sum(client, 10, 8, start=True), 10)
                self.assertEqual(self.sum(client, 2, sequence), 3)
                self.assertEqual(self.sum(client, 20, 8, end=True), 30)
                self.assertEqual(self.sum(client, 3, sequence, end=True), 6)
                # One that has ended is there no more; one that begins again begins from nothing.
                with self.assertRaisesRegex(InferenceServerException, "must specify the START flag on the first request"):
                    self.sum(client, 4, sequence)
                self.assertEqual(self.sum(client, 5, sequence, start=True), 5)
                self.assertEqual(self.sum(client, 6, sequence, start=True), 6)
            with self.assertRaisesRegex(InferenceServerException, "must specify a non-zero or non-empty correlation ID"):
                self.sum(client, 1, 0)

    def test_callers_see_their_own_tensors_only(self):
        for client in self.serve():
            metadata = client.get_model_metadata("sum", **({"as_json": True} if hasattr(client, "start_stream") else {}))
            self.assertEqual([tensor["name"] for tensor in metadata["inputs"]], ["x"])
            # A state is an output only where the configuration lists it as one.
            self.assertEqual([tensor["name"] for tensor in metadata["outputs"]], ["sum", "flags", "whose"])
            config = client.get_model_config("sum", **({"as_json": True} if hasattr(client, "start_stream") else {}))
            config = config.get("config", config)
            self.assertIn("sequence_batching", config)
            self.assertEqual([tensor["name"] for tensor in config["input"]], ["x"])
            answers = [self.ask(client, 1, 99, start=at == 0, end=at == 2) for at in range(3)]
            flags = [answer.as_numpy("flags").tolist() for answer in answers]
            self.assertEqual(flags, [[[1, 0, 1]], [[0, 0, 1]], [[0, 1, 1]]])
            self.assertEqual(answers[0].as_numpy("whose").tolist(), [[99]])

    def test_a_state_begins_with_what_a_file_holds(self):
        for client in self.serve(initial='data_file: "hundred"'):
            self.assertEqual(self.sum(client, 1, 5, start=True), 101)
            self.assertEqual(self.sum(client, 1, 5, end=True), 102)

    def test_many_sequences_at_once_do_not_mix(self):
        http_client, _ = self.serve()
        wrong = []

        def run(sequence):
            client = http.InferenceServerClient(self.server.address)
            expected = 0
            for at in range(40):
                expected += sequence
                got = self.sum(client, sequence, sequence, start=at == 0, end=at == 39)
                if got != expected:
                    wrong.append((sequence, at, got, expected))
            client.close()

        threads = [threading.Thread(target=run, args=(sequence,)) for sequence in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        [stats] = http_client.get_inference_statistics("sum")["model_stats"]
        self.assertEqual(stats["inference_stats"]["success"]["count"], 8 * 40)

    def test_requests_of_a_stream_that_do_not_wait_for_each_other_keep_their_order(self):
        _, client = self.serve()
        answers = queue.Queue()
        client.start_stream(lambda result, error: answers.put((result, error)))
        for at in range(200):
            client.async_stream_infer(
                "sum", self.given(client, 1), sequence_id=3, sequence_start=at == 0, sequence_end=at == 199
            )
        sums = []
        for _ in range(200):
            result, error = answers.get(timeout=30)
            self.assertIsNone(error)
            sums.append(result.as_numpy("sum").item())
        client.stop_stream()
        self.assertEqual(sums, list(range(1, 201)))

    def test_sequences_are_bounded_in_number_and_in_time(self):
        for client in self.serve("--sequences-max", "2", idle_us=200_000):
            self.sum(client, 1, 1, start=True)
            self.sum(client, 1, 2, start=True)
            with self.assertRaisesRegex(InferenceServerException, "2 sequences are under way, which is the limit"):
                self.sum(client, 1, 3, start=True)
            # Those that nobody goes on with make room.
            deadline = threading.Event()
            while True:
                try:
                    self.assertEqual(self.sum(client, 1, 3, start=True, end=True), 1)
                    break
                except InferenceServerException:
                    deadline.wait(0.05)
            with self.assertRaisesRegex(InferenceServerException, "must specify the START flag"):
                self.sum(client, 1, 1)

    def test_configurations_that_do_not_fit_the_graph_are_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "sum"
            (model / "1").mkdir(parents=True)
            models.write_sum(model / "1" / "model.onnx")
            right = models.SUM_CONFIG % (0, "zero_data: true")
            (model / "config.pbtxt").write_text(right)
            with Server("--model-control", "explicit", folder=Path(folder)) as server:
                client = http.InferenceServerClient(server.address)
                client.load_model("sum")
                for change, text in [
                    (('name: "start"', 'name: "begin"'), "the control input 'begin' is not in the graph"),
                    (("int32_false_true: [ 0, 1 ]", "fp32_false_true: [ 0, 1 ]"), "the control input 'start' is"),
                    (("int32_false_true: [ 0, 1 ]", "int32_false_true: [ 1 ]"), "must say what is false and what is true"),
                    (('output_name: "after"', 'output_name: "flags"'), "the state 'before' is"),
                    (('input_name: "before"', 'input_name: "start"'), "names 'start' twice"),
                    (("zero_data: true", 'data_file: "nosuch"'), "cannot begin with the file nosuch"),
                    (("zero_data: true", 'data_file: "../config.pbtxt"'), "in the folder initial_state"),
                ]:
                    (model / "config.pbtxt").write_text(right.replace(*change, 1))
                    with self.assertRaisesRegex(InferenceServerException, text):
                        client.load_model("sum")
                client.close()


if __name__ == "__main__":
    unittest.main()
