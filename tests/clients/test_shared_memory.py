"""Tensors in memory that client and server share, over HTTP and gRPC."""

import contextlib
import unittest

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.http as http
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException, serialize_byte_tensor

from serving import Server, same

KEY = "/ml_serve_test_memory"


class Shared(unittest.TestCase):
    """One server that takes a megabyte, and a client of each kind."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server("--grpc-port", "0", "--shared-memory-bytes-max", "1MiB")
        cls.addClassCleanup(cls.server.stop)

    def clients(self):
        """Each kind of client with its module, for a test that is the same for both."""
        for module, address in ((http, self.server.address), (grpc, self.server.grpc_address)):
            client = module.InferenceServerClient(address)
            self.addCleanup(client.close)
            client.unregister_system_shared_memory()
            yield module, client

    def memory(self, name, size):
        """Makes memory of so many bytes."""
        handle = shm.create_shared_memory_region(name, KEY, size)
        self.addCleanup(self.destroy, handle)
        return handle

    def destroy(self, handle):
        # A test may have done so.
        with contextlib.suppress(shm.SharedMemoryException, KeyError):
            shm.destroy_shared_memory_region(handle)

    def regions(self, client):
        """What is registered, as both clients tell it."""
        status = client.get_system_shared_memory_status()
        if isinstance(status, list):
            return {region["name"]: (region["key"], region["offset"], region["byte_size"]) for region in status}
        return {name: (region.key, region.offset, region.byte_size) for name, region in status.regions.items()}

    def test_inputs_and_outputs_lie_in_regions(self):
        a, b = np.arange(16, dtype=np.int32).reshape(1, 16), np.ones((1, 16), np.int32)
        for module, client in self.clients():
            handle = self.memory("all", 4 * 64)
            shm.set_shared_memory_region(handle, [a, b])
            client.register_system_shared_memory("all", KEY, 4 * 64)
            self.assertEqual(self.regions(client), {"all": (KEY, 0, 256)})
            inputs = [module.InferInput(name, [1, 16], "INT32") for name in ("INPUT0", "INPUT1")]
            inputs[0].set_shared_memory("all", 64)
            inputs[1].set_shared_memory("all", 64, offset=64)
            outputs = [module.InferRequestedOutput(name) for name in ("OUTPUT0", "OUTPUT1")]
            outputs[0].set_shared_memory("all", 64, offset=128)
            result = client.infer("simple", inputs, outputs=outputs)
            # One is in the region, described in the answer without its data; the other is in the answer.
            described = result.get_output("OUTPUT0")
            shape = described["shape"] if isinstance(described, dict) else list(described.shape)
            self.assertEqual(shape, [1, 16])
            got = shm.get_contents_as_numpy(handle, np.int32, [1, 16], offset=128)
            self.assertTrue(same(np.array(got), a + b))
            self.assertTrue(same(result.as_numpy("OUTPUT1"), a - b))
            # Any of the inputs may be sent all the same.
            inputs[0] = module.InferInput("INPUT0", [1, 16], "INT32")
            inputs[0].set_data_from_numpy(b)
            self.assertTrue(same(client.infer("simple", inputs).as_numpy("OUTPUT0"), b + b))
            client.unregister_system_shared_memory("all")
            self.assertEqual(self.regions(client), {})
            self.destroy(handle)

    def test_texts_lie_in_regions_too(self):
        texts = np.array([[b"he\0llo", b"\xff\xfe", b""]], dtype=object)
        packed = serialize_byte_tensor(texts)
        size = len(packed.item())
        for module, client in self.clients():
            handle = self.memory("texts", 2 * size)
            shm.set_shared_memory_region(handle, [packed])
            client.register_system_shared_memory("texts", KEY, 2 * size)
            given = module.InferInput("INPUT0", [1, 3], "BYTES")
            given.set_shared_memory("texts", size)
            wanted = module.InferRequestedOutput("OUTPUT0")
            wanted.set_shared_memory("texts", size, offset=size)
            client.infer("identity_BYTES", [given], outputs=[wanted])
            got = shm.get_contents_as_numpy(handle, np.object_, [1, 3], offset=size)
            self.assertEqual(got.tolist(), texts.tolist())
            client.unregister_system_shared_memory()
            self.destroy(handle)

    def test_what_is_not_there_or_too_small_is_refused(self):
        for module, client in self.clients():
            handle = self.memory("r", 64)
            wanted = module.InferRequestedOutput("OUTPUT0")
            wanted.set_shared_memory("r", 32)

            def infer(region="r", size=64, offset=0, outputs=None):
                def call():
                    given = module.InferInput("INPUT0", [1, 16], "FP32")
                    given.set_shared_memory(region, size, offset)
                    client.infer("identity_FP32", [given], outputs=outputs)

                return call

            register = client.register_system_shared_memory
            with self.assertRaisesRegex(InferenceServerException, "Unable to find shared memory region: 'r'"):
                infer()()
            register("r", KEY, 64)
            for call, text in [
                (lambda: register("r", KEY, 64), "shared memory region 'r' already in manager"),
                (lambda: register("s", KEY, 128), "failed to register shared memory region 's': invalid args"),
                (lambda: register("s", KEY, 64, offset=1), "failed to register shared memory region 's': invalid args"),
                (lambda: register("s", "/nothing_of_this_name", 64), "Unable to open shared memory region"),
                (lambda: register("s", "/../etc/passwd", 64), "invalid shm key"),
                (infer("s"), "Unable to find shared memory region: 's'"),
                (infer(offset=64), "Invalid offset for shared memory region"),
                (infer(offset=1), r"Invalid offset \+ byte size for shared memory region"),
                (infer(size=32), "input byte size mismatch for input 'INPUT0'"),
                (
                    infer(outputs=[wanted]),
                    r"for output 'OUTPUT0' \(32 bytes\) should be at least 64 bytes to hold the results",
                ),
            ]:
                with self.assertRaisesRegex(InferenceServerException, text):
                    call()
            client.unregister_system_shared_memory("r")
            self.destroy(handle)

    def test_cuda_has_no_regions(self):
        for _, client in self.clients():
            self.assertFalse(getattr(client.get_cuda_shared_memory_status(), "regions", []))
            client.unregister_cuda_shared_memory()
            with self.assertRaisesRegex(InferenceServerException, "CUDA shared memory is not served"):
                client.register_cuda_shared_memory("c", b"AAAA", 0, 64)

    def test_a_server_that_was_not_told_to_takes_none(self):
        with Server("--grpc-port", "0") as server:
            for module, address in ((http, server.address), (grpc, server.grpc_address)):
                with module.InferenceServerClient(address) as client:
                    self.assertFalse(self.regions(client))
                    client.unregister_system_shared_memory()
                    with self.assertRaisesRegex(InferenceServerException, "Client shared memory is disabled"):
                        client.register_system_shared_memory("r", KEY, 64)
                    given = module.InferInput("INPUT0", [1, 16], "FP32")
                    given.set_shared_memory("r", 64)
                    with self.assertRaisesRegex(InferenceServerException, "Client shared memory is disabled"):
                        client.infer("identity_FP32", [given])


if __name__ == "__main__":
    unittest.main()
