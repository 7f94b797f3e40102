"""The protocol's error tables, for the types that only these models have: status and words, byte for byte over HTTP."""

import http.client
import json
import struct
import unittest

from serving import Server


def texts(*elements):
    """Texts as they travel, each with its length in front."""
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def request(shape, datatype, data=None, **members):
    """A request for one of the identity models, its input in JSON where there are data."""
    given = {"name": "INPUT0", "shape": shape, "datatype": datatype}
    if data is not None:
        given["data"] = data
    return {"inputs": [given], **members}


class Refusals(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.addClassCleanup(cls.server.stop)

    def ask(self, model, body, data=None):
        """Sends a request, with bytes after its JSON where there are some; returns status and error."""
        headers = {}
        if data is not None:
            body["inputs"][0]["parameters"] = {"binary_data_size": len(data)}
        payload = json.dumps(body).encode()
        if data is not None:
            headers["Inference-Header-Content-Length"] = str(len(payload))
        connection = http.client.HTTPConnection(self.server.address, timeout=60)
        connection.request("POST", f"/v2/models/{model}/infer", payload + (data or b""), headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, "" if answer.status == 200 else json.loads(content)["error"]

    def check(self, table):
        for model, body, data, status, text in table:
            with self.subTest(model, text=text):
                got, error = self.ask(model, body, data)
                self.assertEqual(got, status, error)
                self.assertIn(text, error)

    def test_texts(self):
        model, two = "identity_BYTES", lambda: request([1, 2], "BYTES")
        about = "for inference input 'INPUT0' for model 'identity_BYTES'"
        self.check(
            [
                (model, two(), texts(b"a"), 400, f"expected 2 string elements {about}, got 1"),
                (model, two(), texts(b"a", b"b", b"c"), 400, f"unexpected number of string elements 3 {about}, expecting 2"),
                (model, two(), texts(b"a", b"b")[:-3], 400, "incomplete string length indicator for inference input 'INPUT0'"),
                (model, two(), texts(b"a") + struct.pack("<I", 2**32 - 1) + b"b", 400, "incomplete string data"),
                (model, request([1, 2], "BYTES", ["a", 1]), None, 400, "attempt to access JSON number as string"),
                (model, request([1, 2], "BYTES", ["a"]), None, 400, f"expected 2 string elements {about}, got 1"),
                # JSON cannot carry every text: that is an error, and no other text.
                (model, two(), texts(b"\xff", b"b"), 500, "is not UTF-8, which JSON cannot carry"),
                (model, two(), texts(b"he\0llo", b""), 200, ""),
            ]
        )
        wanted = [{"name": "OUTPUT0", "parameters": {"classification": 1}}]
        text = "class result not available for output due to unsupported type 'BYTES'"
        self.check([(model, request([1, 1], "BYTES", ["a"], outputs=wanted), None, 400, text)])

    def test_numbers(self):
        refused = [
            ("BOOL", [1], "attempt to access JSON number as boolean"),
            ("UINT8", [256], "UINT8"),
            ("UINT8", [-1], "UINT8"),
            ("INT8", [128], "INT8"),
            ("INT32", [2**31], "INT32"),
            ("UINT64", [2**64], "UINT64"),
            ("INT64", [2**63], "INT64"),
            ("INT64", [1.5], "Unable to parse 'data'"),
            ("FP32", ["1"], "attempt to access JSON string as number"),
            ("FP32", [None], "attempt to access JSON null as number"),
            ("FP16", [1], "receiving FP16 data via JSON is not supported. Please use the binary data format for input INPUT0"),
            ("BF16", [1], "receiving BF16 data via JSON is not supported"),
        ]
        for datatype, data, text in refused:
            with self.subTest(datatype, data=data):
                status, error = self.ask(f"identity_{datatype}", request([1, 1], datatype, data))
                self.assertEqual(status, 400, error)
                self.assertTrue(text in error or "Unable to parse 'data'" in error, error)
        status, error = self.ask("identity_BOOL", request([1, 2], "BOOL"), b"\1\2")
        self.assertEqual((status, error), (400, "input 'INPUT0' for model 'identity_BOOL' has a BOOL that is neither 0 nor 1"))

    def test_sizes(self):
        model = "identity_FP32"
        more = "causes total element count to exceed maximum size of"
        none = "Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters', 'shared_memory_region' in 'parameters'. But no field is set"
        mismatch = "input byte size mismatch for input 'INPUT0' for model 'identity_FP32'. Expected 8, got"
        self.check(
            [
                (model, request([2**62, 2**62], "FP32", []), None, 400, more),
                (model, request([2**63, 1], "FP32", []), None, 400, more),
                (model, request([1, 2], "FP32"), None, 400, none),
                (model, request([1, 2], "FP32", [1]), None, 400, f"{mismatch} 4"),
                (model, request([1, 2], "FP32", [1, 2, 3]), None, 400, f"{mismatch} 12"),
                (model, request([1, 2], "FP32"), b"\0" * 7, 400, f"{mismatch} 7"),
                (model, request([1], "FP32", [1]), None, 400, "unexpected shape for input 'INPUT0' for model 'identity_FP32'"),
                (model, request([1025, 1], "FP32", [0] * 1025), None, 400, "batch-size must be <= 1024 for 'identity_FP32'"),
                (model, request([0, 4], "FP32", []), None, 200, ""),
            ]
        )
        wanted = [{"name": "OUTPUT0", "parameters": {"classification": 1}}]
        large = request([1, 1_000_001], "FP32", outputs=wanted)
        self.check([(model, large, bytes(4_000_004), 400, "classification output tensor too large")])


if __name__ == "__main__":
    unittest.main()
