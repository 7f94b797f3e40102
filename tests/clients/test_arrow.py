"""Tables of pyarrow in and out, on plain models and on one of named columns."""

import tempfile
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pyarrow as pa

import models
import tasks
from serving import Server, reference, same

MEDIA = "application/vnd.apache.arrow.stream"

# What Arrow calls the types that it has; brain floats are none of them.
TYPES = {
    "BOOL": pa.bool_(), "UINT8": pa.uint8(), "UINT16": pa.uint16(), "UINT32": pa.uint32(), "UINT64": pa.uint64(),
    "INT8": pa.int8(), "INT16": pa.int16(), "INT32": pa.int32(), "INT64": pa.int64(), "FP16": pa.float16(),
    "FP32": pa.float32(), "FP64": pa.float64(),
}

CONFIG = """
[[models]]
path = "{path}"
name = "house"
task = "tabular"
columns = [
  {{ name = "area", input = "numbers" }},
  {{ name = "age", input = "numbers", missing = nan }},
  {{ name = "lift", input = "numbers", type = "bool", missing = false }},
  {{ name = "heating", input = "code", values = ["gas", "wood"], missing = "gas" }},
]
"""


def stream(table, rows=None):
    """A table as an IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue().to_pybytes()


def lists(rows, kind):
    """Rows of as many values each."""
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1), kind), rows.shape[1])


class Tables(unittest.TestCase):
    """One server with models of every type, and a table's."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        folder = Path(folder.name)
        config = folder / "serve.toml"
        config.write_text(CONFIG.format(path=tasks.DATA / "tasks" / "table.onnx"))
        cls.paths = models.write_all(folder)
        cls.server = Server("--config", str(config), "--body-bytes-max", "1MiB", paths=cls.paths)
        cls.addClassCleanup(cls.server.stop)

    def post(self, model, body, media=MEDIA):
        """A status, a media type and a body."""
        url = f"http://{self.server.address}/models/{model}/predict_batch"
        request = urllib.request.Request(url, body, {"content-type": media})
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.headers["content-type"], answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["content-type"], error.read()

    def ask(self, model, table, rows=None):
        """The table that a table is answered with."""
        status, media, body = self.post(model, stream(table, rows))
        self.assertEqual((status, media), (200, MEDIA), body)
        return pa.ipc.open_stream(body).read_all()

    def test_every_type_goes_through_unchanged(self):
        for name, kind in TYPES.items():
            rows = models.values(name)
            answer = self.ask(f"identity_{name}", pa.table({"INPUT0": lists(rows, kind)}))
            self.assertEqual(answer.schema.names, ["OUTPUT0", "error"])
            self.assertEqual(answer["error"].null_count, 2, name)
            # The graph's second size is the caller's: lists of any length come back.
            self.assertEqual(answer.schema.field("OUTPUT0").type.value_type, kind)
            found = np.array(answer["OUTPUT0"].to_pylist(), models.TYPES[name][1])
            self.assertTrue(same(found, rows), (name, found, rows))

    def test_texts_are_texts(self):
        answer = self.ask("text", pa.table({"INPUT0": ["", "ünï ✓", None, "x" * 300]}))
        self.assertEqual(answer["OUTPUT0"].to_pylist(), ["", "ünï ✓", None, "x" * 300])
        self.assertEqual([error and error["code"] for error in answer["error"].to_pylist()], [None, None, "invalid_item", None])

    def test_many_rows_in_many_batches_are_what_python_computes(self):
        random = np.random.default_rng(3)
        given = {f"INPUT{i}": random.integers(-9, 9, (3000, 16)).astype(np.int32) for i in (0, 1)}
        table = pa.table({name: lists(rows, pa.int32()) for name, rows in given.items()})
        answer = self.ask("simple", table, rows=700)
        for name, rows in zip(("OUTPUT0", "OUTPUT1"), reference(self.paths["simple"], given), strict=True):
            self.assertEqual(answer.schema.field(name).type, pa.list_(pa.field("item", pa.int32(), nullable=False), 16))
            self.assertTrue(same(np.array(answer[name].to_pylist(), np.int32), rows))
        self.assertEqual(answer["error"].null_count, 3000)

    def test_numbers_of_another_type_are_taken_where_they_fit(self):
        answer = self.ask("identity_INT32", pa.table({"INPUT0": pa.array([[1, 2], [2**40, 0], None, [3, None], []], pa.list_(pa.int64()))}))
        self.assertEqual(answer["OUTPUT0"].to_pylist(), [[1, 2], None, None, None, []])
        errors = answer["error"].to_pylist()
        self.assertIn("INPUT0 breaks the rule type: got 1099511627776", errors[1]["message"])
        self.assertEqual([error and error["code"] for error in errors], [None, *["invalid_item"] * 3, None])
        floats = self.ask("identity_FP32", pa.table({"INPUT0": [[1, 2]]}))
        self.assertEqual(floats["OUTPUT0"].to_pylist(), [[1.0, 2.0]])

    def test_named_columns_have_types_and_missing_values(self):
        table = pa.table({
            "heating": ["wood", None, "coal", "gas"],
            "area": [2.0, 2.5, 1.0, None],
            "age": [3.0, float("nan"), None, 1.0],
            "lift": [True, None, False, True],
        })
        answer = self.ask("house", table)
        self.assertEqual(answer["score"].to_pylist(), [1132.0, -7.5, None, None])
        errors = answer["error"].to_pylist()
        self.assertEqual(errors[:2], [None, None])
        self.assertIn("heating breaks the rule values: got coal", errors[2]["message"])
        self.assertIn("area breaks the rule required", errors[3]["message"])
        # Whole numbers are numbers, and columns that may be missing may be left out.
        self.assertEqual(self.ask("house", pa.table({"area": [1, 2]}))["score"].to_pylist(), [-9.0, -8.0])

    def test_no_rows_are_a_table_without_rows(self):
        answer = self.ask("house", pa.table({"area": pa.array([], pa.float32())}))
        self.assertEqual((answer.num_rows, answer.schema.names), (0, ["score", "error"]))

    def test_what_is_refused_as_a_whole(self):
        house = {"area": [1.0]}
        for model, body, status, message in [
            ("house", b"", 400, "the body is empty"),
            ("house", b"no stream, but as long as one", 400, "not an Arrow IPC stream"),
            ("house", stream(pa.table(house))[:-100], 400, "not an Arrow IPC stream"),
            ("house", stream(pa.table({**house, "town": ["Ulm"]})), 422, "town breaks the rule unknown_field"),
            ("house", stream(pa.table({"age": [1.0]})), 422, "area breaks the rule required"),
            ("simple", stream(pa.table({"INPUT0": [[1] * 16]})), 422, "INPUT1 breaks the rule required"),
            ("house", stream(pa.table({"area": np.zeros(200_000)})), 413, "larger than the limit of 1048576 bytes"),
        ]:
            found, media, answer = self.post(model, body)
            self.assertEqual((found, media), (status, "application/json"), answer)
            self.assertIn(message, answer.decode())
        found, _, answer = self.post("house", stream(pa.table({"area": [[1.0]]})))
        self.assertEqual(found, 200)
        [error] = pa.ipc.open_stream(answer).read_all()["error"].to_pylist()
        self.assertIn("area breaks the rule type", error["message"])


if __name__ == "__main__":
    unittest.main()
