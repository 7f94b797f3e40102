"""Triton's HTTP clients, the one on gevent and the one on asyncio."""

import asyncio
import unittest

import numpy as np
import tritonclient.http as http
import tritonclient.http.aio as aio
from tritonclient.utils import InferenceServerException

import models
from serving import Server, reference, same


def tensor(name, array, datatype, binary):
    """An input with its data."""
    given = http.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array, binary_data=binary)
    return given


class Clients(unittest.TestCase):
    """One server for all tests, as one has in practice."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.stop)

    def setUp(self):
        self.client = http.InferenceServerClient(self.server.address)
        self.addCleanup(self.client.close)

    def simple(self, binary=True, shape=(1, 16)):
        """The inputs of `simple`, and what comes out."""
        a = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
        b = np.ones(shape, dtype=np.int32)
        inputs = [tensor("INPUT0", a, "INT32", binary), tensor("INPUT1", b, "INT32", binary)]
        return inputs, a + b, a - b

    def test_health_and_metadata(self):
        self.assertTrue(self.client.is_server_live())
        self.assertTrue(self.client.is_server_ready())
        self.assertTrue(self.client.is_model_ready("simple"))
        self.assertTrue(self.client.is_model_ready("simple", "1"))
        self.assertFalse(self.client.is_model_ready("nosuch"))
        self.assertFalse(self.client.is_model_ready("simple", "2"))
        metadata = self.client.get_server_metadata()
        self.assertEqual(metadata["name"], "ml-serve")
        self.assertIn("binary_tensor_data", metadata["extensions"])
        metadata = self.client.get_model_metadata("simple", query_params={"test_1": 1, "test_2": 2})
        self.assertEqual(metadata["versions"], ["1"])
        self.assertEqual(metadata["platform"], "onnxruntime_onnx")
        self.assertEqual(metadata["inputs"][0], {"name": "INPUT0", "datatype": "INT32", "shape": [-1, 16]})
        config = self.client.get_model_config("simple")
        self.assertEqual(config["max_batch_size"], 1024)
        self.assertEqual(config["input"][0]["dims"], [16])
        self.assertEqual(self.client.get_model_config("one_size")["max_batch_size"], 0)

    def test_every_type_comes_back_as_it_was_sent(self):
        for name in models.TYPES:
            for binary_in in (True, False):
                for binary_out in (True, False):
                    with self.subTest(name, binary_in=binary_in, binary_out=binary_out):
                        self.round_trip(name, binary_in, binary_out)

    def round_trip(self, name, binary_in, binary_out):
        array, model = models.values(name), f"identity_{name}"
        in_json = not (binary_in and binary_out)
        if name in ("FP16", "BF16") and in_json:
            return self.half_precision_is_refused(name, array, binary_in)
        if name == "BYTES" and in_json:
            array = array[:1, :3]  # What JSON can carry is UTF-8.
        expected = array
        if name not in ("BF16", "BYTES"):  # Python's ONNX Runtime takes no bfloat16, and no texts as bytes.
            [expected] = reference(self.server.paths[model], {"INPUT0": array})
        wanted = [http.InferRequestedOutput("OUTPUT0", binary_data=binary_out)]
        result = self.client.infer(model, [tensor("INPUT0", array, name, binary_in)], outputs=wanted)
        if name == "BYTES" and not binary_out:
            expected = np.array([text.decode() for text in expected.flat], dtype=object).reshape(expected.shape)
        got = result.as_numpy("OUTPUT0")
        self.assertTrue(same(got, expected), f"{got!r} is not {expected!r}")

    def half_precision_is_refused(self, name, array, binary_in):
        if not binary_in:
            return  # The client refuses by itself.
        wanted = [http.InferRequestedOutput("OUTPUT0", binary_data=False)]
        with self.assertRaisesRegex(InferenceServerException, f"sending {name} data via JSON is not supported"):
            self.client.infer(f"identity_{name}", [tensor("INPUT0", array, name, True)], outputs=wanted)

    def test_outputs_are_binary_where_none_is_named(self):
        inputs, total, difference = self.simple()
        result = self.client.infer("simple", inputs, request_id="seven")
        self.assertEqual(result.get_response()["id"], "seven")
        self.assertEqual(result.get_response()["model_version"], "1")
        self.assertTrue(same(result.as_numpy("OUTPUT0"), total))
        self.assertTrue(same(result.as_numpy("OUTPUT1"), difference))
        self.assertNotIn("id", self.client.infer("simple", inputs).get_response())

    def test_outputs_come_in_the_order_that_was_asked_for(self):
        inputs, total, difference = self.simple(binary=False)
        wanted = [http.InferRequestedOutput(name, binary_data=False) for name in ("OUTPUT1", "OUTPUT0")]
        result = self.client.infer("simple", inputs[::-1], outputs=wanted)
        self.assertEqual([output["name"] for output in result.get_response()["outputs"]], ["OUTPUT1", "OUTPUT0"])
        self.assertTrue(same(result.as_numpy("OUTPUT0"), total))
        self.assertTrue(same(result.as_numpy("OUTPUT1"), difference))

    def test_many_rows_are_one_request(self):
        for rows in (1, 2, 64, 65, 1000, 1024):
            with self.subTest(rows=rows):
                inputs, total, difference = self.simple(shape=(rows, 16))
                result = self.client.infer("simple", inputs)
                self.assertTrue(same(result.as_numpy("OUTPUT0"), total))
                self.assertTrue(same(result.as_numpy("OUTPUT1"), difference))

    def test_nothing_and_scalars_go_through(self):
        for model, array in [
            ("identity_FP32", np.zeros((0, 4), np.float32)),
            ("identity_FP32", np.zeros((3, 0), np.float32)),
            ("scalar", np.array(7.5, np.float32)),
        ]:
            for binary in (True, False):
                with self.subTest(model, shape=array.shape, binary=binary):
                    wanted = [http.InferRequestedOutput("OUTPUT0", binary_data=binary)]
                    given = tensor("INPUT0", array, "FP32", binary)
                    got = self.client.infer(model, [given], outputs=wanted).as_numpy("OUTPUT0")
                    self.assertTrue(same(got, array), repr(got))

    def test_what_is_no_number_and_infinity_go_through_json(self):
        array = np.array([[np.nan, np.inf, -np.inf]], np.float32)
        wanted = [http.InferRequestedOutput("OUTPUT0", binary_data=False)]
        result = self.client.infer("identity_FP32", [tensor("INPUT0", array, "FP32", True)], outputs=wanted)
        np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), array)

    def test_compression_both_ways(self):
        inputs, total, _ = self.simple()
        for request in (None, "gzip", "deflate"):
            for response in (None, "gzip", "deflate"):
                with self.subTest(request=request, response=response):
                    result = self.client.infer(
                        "simple",
                        inputs,
                        request_compression_algorithm=request,
                        response_compression_algorithm=response,
                    )
                    self.assertTrue(same(result.as_numpy("OUTPUT0"), total))

    def test_a_large_body(self):
        array = np.arange(15 << 20, dtype=np.float32).reshape(1, -1)
        result = self.client.infer("identity_FP32", [tensor("INPUT0", array, "FP32", True)])
        self.assertTrue(same(result.as_numpy("OUTPUT0"), array))

    def test_a_raw_request(self):
        array = np.arange(16, dtype=np.float32)
        body, length = http.InferenceServerClient.generate_request_body([tensor("INPUT0", array, "FP32", True)])
        data = bytes(body)[length:]
        answer = self.client._post("v2/models/one_size/infer", data, {"Inference-Header-Content-Length": "0"}, None)
        length = int(answer.get("Inference-Header-Content-Length"))
        result = http.InferenceServerClient.parse_response_body(answer.read(), False, length)
        self.assertTrue(same(result.as_numpy("OUTPUT0"), array))

    def test_classes(self):
        inputs, _, _ = self.simple(shape=(2, 16))
        for binary in (True, False):
            wanted = [http.InferRequestedOutput("OUTPUT0", binary_data=binary, class_count=2)]
            got = self.client.infer("simple", inputs, outputs=wanted).as_numpy("OUTPUT0")
            texts = [text if isinstance(text, str) else text.decode() for text in got.flat]
            self.assertEqual(got.shape, (2, 2))
            self.assertEqual(texts, ["16:15:label 15", "15:14:label 14", "32:15:label 15", "31:14:label 14"])

    def test_priority_timeout_and_parameters_of_any_name(self):
        inputs, total, _ = self.simple()
        result = self.client.infer(
            "simple", inputs, priority=2, timeout=5_000_000, parameters={"mine": "x", "n": 1, "b": True, "f": 1.5}
        )
        self.assertTrue(same(result.as_numpy("OUTPUT0"), total))

    def test_statistics_count_requests_rows_and_runs(self):
        inputs, _, _ = self.simple(shape=(3, 16))
        [before] = self.client.get_inference_statistics("simple")["model_stats"]
        headers = {"Inference-Header-Content-Length": "123"}  # A caller reuses its headers for everything.
        for _ in range(2):
            self.client.infer("simple", inputs)
        with self.assertRaises(InferenceServerException):
            self.client.infer("simple", inputs[:1])
        [after] = self.client.get_inference_statistics("simple", headers=headers)["model_stats"]
        self.assertEqual(after["inference_count"] - before["inference_count"], 6)
        self.assertEqual(after["execution_count"] - before["execution_count"], 2)
        spans = after["inference_stats"]
        self.assertEqual(spans["success"]["count"] - before["inference_stats"]["success"]["count"], 2)
        names = {"success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss"}
        self.assertEqual(set(spans), names)
        self.assertTrue(all(type(span["ns"]) is int for span in spans.values()))
        self.assertIn(3, [batch["batch_size"] for batch in after["batch_stats"]])
        self.assertGreater(len(self.client.get_inference_statistics()["model_stats"]), 10)

    def test_refusals_are_shown(self):
        inputs, _, _ = self.simple()
        for call, text in [
            (lambda: self.client.infer("nosuch", inputs), "Request for unknown model: 'nosuch' is not found"),
            (lambda: self.client.infer("simple", inputs, "9"), "'simple' version 9 is not found"),
            (lambda: self.client.infer("simple", inputs[:1]), r"missing required input\(s\) \['INPUT1'\]"),
            (lambda: self.client.get_model_metadata("nosuch"), "Request for unknown model"),
        ]:
            with self.assertRaisesRegex(InferenceServerException, text):
                call()

    def test_many_requests_at_once(self):
        client = http.InferenceServerClient(self.server.address, concurrency=8)
        inputs, total, _ = self.simple()
        pending = [client.async_infer("simple", inputs) for _ in range(200)]
        self.assertTrue(all(same(request.get_result().as_numpy("OUTPUT0"), total) for request in pending))
        client.close()

    def test_the_client_on_asyncio(self):
        async def talk():
            async with aio.InferenceServerClient(self.server.address) as client:
                self.assertTrue(await client.is_server_ready())
                self.assertTrue(await client.is_model_ready("simple"))
                self.assertEqual((await client.get_model_metadata("simple"))["name"], "simple")
                for binary in (True, False):
                    for algorithm in (None, "gzip", "deflate"):
                        inputs, total, _ = self.simple(binary)
                        result = await client.infer(
                            "simple",
                            inputs,
                            request_compression_algorithm=algorithm,
                            response_compression_algorithm=algorithm,
                        )
                        self.assertTrue(same(result.as_numpy("OUTPUT0"), total))
                results = await asyncio.gather(*[client.infer("simple", inputs) for _ in range(100)])
                self.assertTrue(all(same(result.as_numpy("OUTPUT0"), total) for result in results))

        asyncio.run(talk())


if __name__ == "__main__":
    unittest.main()
