"""Triton's gRPC clients, the one on threads and the one on asyncio, and clients that know nothing but the protocol."""

import asyncio
import queue
import tempfile
import unittest
from pathlib import Path

import grpc
import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as aio
from google.protobuf import descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

import models
from serving import Server, reference, same

# The field of typed contents of each type that has one.
CONTENTS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def tensor(name, array, datatype):
    """An input with its data."""
    given = triton.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array)
    return given


class Clients(unittest.TestCase):
    """One server for all tests, as one has in practice."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server("--grpc-port", "0")
        cls.addClassCleanup(cls.server.stop)

    def setUp(self):
        self.client = triton.InferenceServerClient(self.server.grpc_address)
        self.addCleanup(self.client.close)

    def stub(self):
        """The protocol's own interface."""
        channel = grpc.insecure_channel(self.server.grpc_address)
        self.addCleanup(channel.close)
        return service_pb2_grpc.GRPCInferenceServiceStub(channel)

    def simple(self, shape=(1, 16)):
        """The inputs of `simple`, and what comes out."""
        a = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
        b = np.ones(shape, dtype=np.int32)
        return [tensor("INPUT0", a, "INT32"), tensor("INPUT1", b, "INT32")], a + b, a - b

    def test_health_and_metadata(self):
        self.assertTrue(self.client.is_server_live())
        self.assertTrue(self.client.is_server_ready())
        self.assertTrue(self.client.is_model_ready("simple", headers={"test": "1"}))
        self.assertFalse(self.client.is_model_ready("nosuch"))
        self.assertFalse(self.client.is_model_ready("simple", "2"))
        self.assertEqual(self.client.get_server_metadata().name, "ml-serve")
        metadata = self.client.get_model_metadata("simple")
        self.assertEqual([list(tensor.shape) for tensor in metadata.inputs], [[-1, 16], [-1, 16]])
        config = self.client.get_model_config("simple").config
        self.assertEqual((config.name, config.max_batch_size, config.backend), ("simple", 1024, "onnxruntime"))
        self.assertEqual((config.input[0].data_type, list(config.input[0].dims)), (8, [16]))
        self.assertTrue(config.HasField("dynamic_batching"))
        with self.assertRaisesRegex(InferenceServerException, "NOT_FOUND.*Request for unknown model: 'nosuch'"):
            self.client.get_model_metadata("nosuch")

    def test_health_and_reflection_as_others_ask_for_them(self):
        channel = grpc.insecure_channel(self.server.grpc_address)
        self.addCleanup(channel.close)
        for service in ("", "inference.GRPCInferenceService"):
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
            self.assertEqual(answer.status, health_pb2.HealthCheckResponse.SERVING)
        services = ProtoReflectionDescriptorDatabase(channel).get_services()
        self.assertIn("inference.GRPCInferenceService", services)

    def test_a_client_that_knows_nothing_learns_the_protocol_by_reflection(self):
        channel = grpc.insecure_channel(self.server.grpc_address)
        self.addCleanup(channel.close)
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        methods = pool.FindServiceByName("inference.GRPCInferenceService").methods
        self.assertEqual(len(methods), 20)
        infer = next(method for method in methods if method.name == "ModelInfer")
        asked = message_factory.GetMessageClass(infer.input_type)(model_name="identity_INT64")
        given = asked.inputs.add(name="INPUT0", datatype="INT64", shape=[1, 2])
        given.contents.int64_contents.extend([7, -8])
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(infer.output_type).FromString,
        )
        [raw] = call(asked).raw_output_contents
        self.assertEqual(np.frombuffer(raw, np.int64).tolist(), [7, -8])

    def test_calls_end_when_their_caller_wants(self):
        inputs, total, _ = self.simple()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "slow.onnx"
            models.write_slow(path)
            with Server("--grpc-port", "0", paths={"slow": path}) as server:
                client = triton.InferenceServerClient(server.grpc_address)
                given = [tensor("x", np.zeros(1, np.float32), "FP32")]
                for _ in range(10):
                    # Whoever notices first, the caller or the server, says the same; but what earlier calls left running
                    # may make the server refuse at once what it cannot answer in time.
                    with self.assertRaisesRegex(InferenceServerException, "(?i)deadline.exceeded|the wait is about"):
                        client.infer("slow", given, client_timeout=0.02)
                client.infer("slow", given, client_timeout=60)
                client.close()
        answers = queue.Queue()
        call = self.client.async_infer("simple", inputs, lambda result, error: answers.put((result, error)))
        call.cancel()
        result, error = answers.get(timeout=30)
        # It may have been quicker than its caller.
        self.assertTrue(result is not None or "CANCELLED" in str(error).upper(), str(error))
        self.assertTrue(same(self.client.infer("simple", inputs).as_numpy("OUTPUT0"), total))

    def test_every_type_comes_back_as_it_was_sent(self):
        for name in models.TYPES:
            array = models.values(name)
            expected = array
            if name not in ("BF16", "BYTES"):  # Python's ONNX Runtime takes no bfloat16, and no texts as bytes.
                [expected] = reference(self.server.paths[f"identity_{name}"], {"INPUT0": array})
            with self.subTest(name, form="raw"):
                result = self.client.infer(f"identity_{name}", [tensor("INPUT0", array, name)])
                self.assertTrue(same(result.as_numpy("OUTPUT0"), expected))
            with self.subTest(name, form="typed"):
                self.typed(name, array, expected)

    def typed(self, name, array, expected):
        """Sends typed contents; the answer is raw all the same, as clients want it."""
        request = service_pb2.ModelInferRequest(model_name=f"identity_{name}", id="t")
        given = request.inputs.add(name="INPUT0", datatype=name, shape=array.shape)
        if name not in CONTENTS:
            given.contents.fp32_contents.extend([0.0] * array.size)
            with self.assertRaises(grpc.RpcError) as refused:
                self.stub().ModelInfer(request)
            self.assertEqual(refused.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
            return
        getattr(given.contents, CONTENTS[name]).extend(array.flatten().tolist())
        response = self.stub().ModelInfer(request)
        self.assertEqual((response.id, len(response.raw_output_contents)), ("t", 1))
        self.assertFalse(response.outputs[0].HasField("contents"))
        self.assertTrue(same(triton.InferResult(response).as_numpy("OUTPUT0"), expected))

    def test_outputs_come_in_the_order_that_was_asked_for(self):
        inputs, total, difference = self.simple()
        wanted = [triton.InferRequestedOutput(name) for name in ("OUTPUT1", "OUTPUT0")]
        result = self.client.infer("simple", inputs[::-1], outputs=wanted, request_id="seven", priority=1, timeout=10**7)
        self.assertEqual(result.get_response().id, "seven")
        self.assertEqual([output.name for output in result.get_response().outputs], ["OUTPUT1", "OUTPUT0"])
        self.assertTrue(same(result.as_numpy("OUTPUT0"), total))
        self.assertTrue(same(result.as_numpy("OUTPUT1"), difference))

    def test_classes(self):
        inputs, _, _ = self.simple(shape=(2, 16))
        wanted = [triton.InferRequestedOutput("OUTPUT0", class_count=1)]
        got = self.client.infer("simple", inputs, outputs=wanted).as_numpy("OUTPUT0")
        self.assertEqual(got.tolist(), [[b"16:15:label 15"], [b"32:15:label 15"]])

    def test_nothing_scalars_and_much(self):
        for model, array in [
            ("identity_FP32", np.zeros((0, 4), np.float32)),
            ("scalar", np.array(7.5, np.float32)),
            ("identity_FP32", np.arange(14 << 20, dtype=np.float32).reshape(1, -1)),
        ]:
            got = self.client.infer(model, [tensor("INPUT0", array, "FP32")]).as_numpy("OUTPUT0")
            self.assertTrue(same(got, array))

    def test_compression(self):
        inputs, total, _ = self.simple()
        for algorithm in ("gzip", "deflate"):
            result = self.client.infer("simple", inputs, compression_algorithm=algorithm)
            self.assertTrue(same(result.as_numpy("OUTPUT0"), total), algorithm)

    def test_statistics(self):
        inputs, _, _ = self.simple(shape=(3, 16))
        self.client.infer("simple", inputs)
        [stats] = self.client.get_inference_statistics("simple").model_stats
        self.assertGreaterEqual(stats.inference_count, 3)
        self.assertGreater(stats.inference_stats.success.ns, 0)
        self.assertGreater(len(self.client.get_inference_statistics().model_stats), 10)

    def test_refusals_have_their_code_and_tritons_words(self):
        def change(**fields):
            request = service_pb2.ModelInferRequest(model_name="simple")
            for name in ("INPUT0", "INPUT1"):
                request.inputs.add(name=name, datatype="INT32", shape=[1, 16])
                request.raw_input_contents.append(bytes(64))
            for name, edit in fields.items():
                edit(getattr(request, name)) if callable(edit) else setattr(request, name, edit)
            return request

        invalid, not_found = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
        typed = lambda inputs: inputs[0].contents.int_contents.extend([0] * 16)  # noqa: E731
        wrong = lambda inputs: inputs[0].contents.fp32_contents.extend([0] * 16)  # noqa: E731
        for request, code, text in [
            (change(model_name="nosuch"), not_found, "Request for unknown model: 'nosuch' is not found"),
            (change(model_version="9"), not_found, "'simple' version 9 is not found"),
            (
                change(inputs=typed),
                invalid,
                "contents field must not be specified when using raw_input_contents for 'INPUT0' for model 'simple'",
            ),
            (
                change(raw_input_contents=lambda raw: raw.__delitem__(slice(None))),
                invalid,
                "unable to find data for input tensor 'INPUT0' for model 'simple' in request.",
            ),
            (
                change(raw_input_contents=lambda raw: raw.__delitem__(slice(None)), inputs=wrong),
                invalid,
                "unexpected explicit tensor data for input tensor 'INPUT0' of type 'FP32', expected datatype 'INT32'",
            ),
            (change(inputs=lambda inputs: inputs[0].shape.__setitem__(0, -1)), invalid, "has the size -1"),
            (
                change(inputs=lambda inputs: [inputs.add() for _ in range(20_000)]),
                invalid,
                "the message has 20005 tensors, raw contents and parameters; the limit is 16384",
            ),
            (change(outputs=lambda outputs: outputs.add(name="O")), invalid, "unexpected inference output 'O'"),
        ]:
            with self.assertRaises(grpc.RpcError) as refused:
                self.stub().ModelInfer(request)
            self.assertEqual(refused.exception.code(), code)
            self.assertIn(text, refused.exception.details())

    def test_a_stream_answers_in_order_and_survives_a_refusal(self):
        answers = queue.Queue()
        self.client.start_stream(lambda result, error: answers.put((result, error)))
        inputs, total, _ = self.simple()
        for number in range(50):
            model = "nosuch" if number == 7 else "simple"
            self.client.async_stream_infer(model, inputs, request_id=str(number))
        for number in range(50):
            result, error = answers.get(timeout=30)
            if number == 7:
                self.assertIn("unknown model: 'nosuch'", str(error))
            else:
                self.assertIsNone(error)
                self.assertEqual(result.get_response().id, str(number))
                self.assertTrue(same(result.as_numpy("OUTPUT0"), total))
        self.client.async_stream_infer("simple", inputs, enable_empty_final_response=True)
        result, _ = answers.get(timeout=30)
        self.assertTrue(result.get_response().parameters["triton_final_response"].bool_param)
        self.client.stop_stream()

    def test_a_stream_ends_with_the_status_where_that_is_wanted(self):
        answers = queue.Queue()
        self.client.start_stream(lambda result, error: answers.put(error), headers={"triton_grpc_error": "true"})
        inputs, _, _ = self.simple()
        self.client.async_stream_infer("nosuch", inputs)
        self.assertIn("NOT_FOUND", str(answers.get(timeout=30)))
        self.client.stop_stream()

    def test_many_requests_at_once(self):
        answers = queue.Queue()
        inputs, total, _ = self.simple()
        for _ in range(200):
            self.client.async_infer("simple", inputs, lambda result, error: answers.put((result, error)))
        for _ in range(200):
            result, error = answers.get(timeout=30)
            self.assertIsNone(error)
            self.assertTrue(same(result.as_numpy("OUTPUT0"), total))

    def test_pings_without_a_call_are_answered(self):
        options = triton.KeepAliveOptions(
            keepalive_time_ms=200, keepalive_timeout_ms=2000, keepalive_permit_without_calls=True, http2_max_pings_without_data=0
        )
        with triton.InferenceServerClient(self.server.grpc_address, keepalive_options=options) as client:
            for _ in range(3):
                self.assertTrue(client.is_server_live())

    def test_the_client_on_asyncio(self):
        async def talk():
            async with aio.InferenceServerClient(self.server.grpc_address) as client:
                self.assertTrue(await client.is_server_ready())
                inputs, total, _ = self.simple()
                results = await asyncio.gather(*[client.infer("simple", inputs) for _ in range(100)])
                self.assertTrue(all(same(result.as_numpy("OUTPUT0"), total) for result in results))

                async def requests():
                    for number in range(10):
                        yield {"model_name": "simple", "inputs": inputs, "request_id": str(number)}

                ids = []
                async for result, error in client.stream_infer(requests()):
                    self.assertIsNone(error)
                    ids.append(result.get_response().id)
                self.assertEqual(ids, [str(number) for number in range(10)])

        asyncio.run(talk())


if __name__ == "__main__":
    unittest.main()
