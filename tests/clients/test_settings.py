"""Log and trace settings, over HTTP and gRPC."""

import unittest

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.http as http
from tritonclient.utils import InferenceServerException

from serving import Server


def plain(settings):
    """Settings as HTTP has them, whichever client told them."""
    if isinstance(settings, dict):
        return {name: value if isinstance(value, list) else [value] for name, value in settings.items()}
    if "log_info" in settings.settings:
        choice = lambda value: getattr(value, value.WhichOneof("parameter_choice"))  # noqa: E731
        return {name: [choice(value)] for name, value in settings.settings.items()}
    return {name: list(value.value) for name, value in settings.settings.items()}


class Settings(unittest.TestCase):
    def serve(self, *flags):
        """Starts a server whose log can be read, and a client of each kind."""
        server = Server("--grpc-port", "0", *flags, log=True)
        self.addCleanup(server.stop)
        clients = [http.InferenceServerClient(server.address), grpc.InferenceServerClient(server.grpc_address)]
        for client in clients:
            self.addCleanup(client.close)
        return server, clients

    def infer(self, client):
        """Asks a model once."""
        module = http if isinstance(client, http.InferenceServerClient) else grpc
        given = module.InferInput("INPUT0", [1, 1], "FP32")
        given.set_data_from_numpy(np.zeros((1, 1), np.float32))
        client.infer("identity_FP32", [given], request_id="seven")

    def test_traced_requests_stand_in_the_log(self):
        server, clients = self.serve("--remote-settings", "on")
        for client in clients:
            settings = plain(client.get_trace_settings())
            self.assertEqual((settings["trace_level"], settings["trace_rate"]), (["OFF"], ["1000"]))
            before = server.logged("trace:")
            changed = client.update_trace_settings(
                "identity_FP32", {"trace_level": ["TIMESTAMPS"], "trace_rate": "2", "trace_count": "2"}
            )
            self.assertEqual(plain(changed)["trace_count"], ["2"])
            for _ in range(8):
                self.infer(client)
            # Every second one, and no more than two.
            self.assertEqual(server.logged("trace:") - before, 2)
            self.assertEqual(plain(client.get_trace_settings("identity_FP32"))["trace_count"], ["0"])
            self.assertEqual(plain(client.get_trace_settings("simple"))["trace_level"], ["OFF"])
            cleared = {"trace_level": None, "trace_rate": None, "trace_count": None}
            self.assertEqual(plain(client.update_trace_settings("identity_FP32", cleared))["trace_rate"], ["1000"])
            for settings, text in [
                ({"trace_level": ["ALL"]}, "'ALL' is no trace_level"),
                ({"trace_level": ["TENSORS"]}, "TENSORS is not served"),
                ({"trace_rate": "0"}, "a whole number from 1"),
                ({"trace_file": "/tmp/x"}, "there is no trace file"),
                ({"nosuch": "1"}, "unknown trace setting 'nosuch'"),
            ]:
                with self.assertRaisesRegex(InferenceServerException, text):
                    client.update_trace_settings(settings=settings)
            with self.assertRaisesRegex(InferenceServerException, "Request for unknown model"):
                client.get_trace_settings("nosuch")
        self.assertIn("predict=", server.log_text())

    def test_the_log_says_as_much_as_it_is_told_to(self):
        server, clients = self.serve("--remote-settings", "on")
        for client in clients:
            settings = plain(client.get_log_settings())
            expected = {
                "log_file": [""],
                "log_info": [True],
                "log_warning": [True],
                "log_error": [True],
                "log_verbose_level": [0],
                "log_format": ["ISO8601"],
            }
            self.assertEqual(settings, expected)
            self.assertEqual(plain(client.update_log_settings({"log_verbose_level": 1}))["log_verbose_level"], [1])
            before = server.logged("DEBUG")
            with http.InferenceServerClient(server.address) as asking:
                asking.is_server_live()
                asking.is_server_live()  # The line of the first is written by now.
            self.assertGreater(server.logged("DEBUG"), before)
            client.update_log_settings({"log_verbose_level": 0, "log_info": False})
            client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"], "trace_rate": "1"})
            before = server.logged("trace:")
            self.infer(client)
            self.assertEqual(server.logged("trace:"), before)
            client.update_log_settings({"log_info": True})
            self.infer(client)
            self.assertEqual(server.logged("trace:"), before + 1)
            client.update_trace_settings(settings={"trace_level": ["OFF"]})
            for settings, text in [
                ({"log_file": "/tmp/x"}, "log file location can not be updated through network protocol"),
                ({"log_format": "xml"}, "'log_format' must be ISO8601 or default"),
                ({"nosuch": True}, "unknown log setting 'nosuch'"),
            ]:
                with self.assertRaisesRegex(InferenceServerException, text):
                    client.update_log_settings(settings)

            if isinstance(client, http.InferenceServerClient):  # The other makes a truth of it by itself.
                with self.assertRaisesRegex(InferenceServerException, "'log_info' must be true or false"):
                    client.update_log_settings({"log_info": 7})

    def test_requests_change_nothing_unless_they_may(self):
        _, clients = self.serve()
        for client in clients:
            self.assertEqual(plain(client.update_trace_settings(settings={}))["trace_level"], ["OFF"])
            with self.assertRaisesRegex(InferenceServerException, "settings are not changed by requests"):
                client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"]})
            with self.assertRaisesRegex(InferenceServerException, "settings are not changed by requests"):
                client.update_log_settings({"log_error": False})


if __name__ == "__main__":
    unittest.main()
