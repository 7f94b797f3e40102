"""OpenAI's own client on `/v1`, and Hugging Face's client on `/embed`, against what Python computes."""

import tempfile
import unittest
from pathlib import Path

import numpy as np
import openai
from huggingface_hub import InferenceClient
from tokenizers import Tokenizer

import tasks
from serving import Server

CASES = tasks.EXPECTED["text"]["embeddings"]
TEXTS = [case["text"] for case in CASES if case["tokens"] < 32]


def wanted(case, dimensions=None):
    """The mean of a case's states, of length one."""
    mean = np.array(case["pooled"]["mean"][:dimensions], np.float32)
    return mean / np.linalg.norm(mean)


class Served(unittest.TestCase):
    """One server of an embedding model, a classifier and a reranker."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        flags = ("--call-items-max", "8", "--item-bytes-max", "1KiB")
        cls.server = Server(*flags, paths=tasks.write_all(Path(folder.name)))
        cls.addClassCleanup(cls.server.stop)
        url = f"http://{cls.server.address}"
        cls.client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        cls.addClassCleanup(cls.client.close)
        cls.url = url

    def assert_close(self, found, expected):
        """Expects vectors, to within what runtimes add up differently."""
        np.testing.assert_allclose(np.array(found), np.array(expected), atol=1e-5)


class OpenAI(Served):
    """What OpenAI's client does, and Hugging Face's."""

    def embed(self, given, **options):
        """The answer to a request."""
        return self.client.embeddings.create(model="embedder", input=given, **options)

    def test_models_are_listed(self):
        listed = self.client.models.list().data
        self.assertEqual([(model.id, model.object) for model in listed], [("embedder", "model")])
        self.assertEqual(self.client.models.retrieve("embedder").owned_by, "ml-serve")
        with self.assertRaises(openai.NotFoundError) as caught:
            self.client.models.retrieve("nosuch")
        self.assertEqual(caught.exception.code, "model_not_found")

    def test_texts_and_tokens_of_every_form(self):
        tokenizer = Tokenizer.from_file(str(tasks.DATA / "tiny-sentiment" / "tokenizer.json"))
        tokens = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
        expected = [wanted(case) for case in CASES[: len(TEXTS)]]
        counts = [case["tokens"] for case in CASES[: len(TEXTS)]]
        for many in (TEXTS, tokens):
            # The client asks for base64 where nothing is said, and undoes it.
            for options in ({}, {"encoding_format": "float"}):
                answer = self.embed(many, **options)
                self.assert_close([one.embedding for one in answer.data], expected)
                self.assertEqual([one.index for one in answer.data], list(range(len(many))))
                self.assertEqual(answer.usage.prompt_tokens, sum(counts))
            one = self.embed(many[0])
            self.assert_close(one.data[0].embedding, expected[0])
            self.assertEqual((one.object, one.model, one.usage.total_tokens), ("list", "embedder", counts[0]))
        raw = self.embed(TEXTS[0], encoding_format="base64").data[0].embedding
        self.assertIsInstance(raw, str)

    def test_fewer_dimensions_are_of_length_one_again(self):
        self.assert_close(self.embed(TEXTS[0], dimensions=3).data[0].embedding, wanted(CASES[0], 3))

    def test_refusals_name_the_parameter(self):
        cases = [
            ({"input": ""}, 422, "input", "not_empty"),
            ({"input": []}, 422, "input", "no items"),
            ({"input": ["good", ""]}, 422, "input", "input[1]: text breaks the rule not_empty"),
            ({"input": ["a"] * 9}, 413, "input", "the batch has 9 items, the limit is 8"),
            ({"input": ["a", "a" * 1025]}, 413, "input", "input[1]: the item has 1025 bytes, the limit is 1024"),
            ({"input": "good " * 40}, 422, "input", "got 42 tokens, allowed is 32 tokens"),
            ({"input": [1, 200]}, 422, "input", "text[1] breaks the rule range: got 200, allowed is 0 to 111"),
            ({"input": {"a": 1}}, 422, "input", "expected a text, an array of token numbers"),
            ({"input": "a", "dimensions": 9}, 422, "dimensions", "allowed is 1 to 8"),
            ({"input": "a", "encoding_format": "int8"}, 422, "encoding_format", "unknown variant"),
            ({"input": "a", "model": "nosuch"}, 404, "model", "nosuch"),
            ({"input": "a", "model": "reranker"}, 400, "model", 'the model "reranker" is not for text embedding'),
        ]
        for body, status, param, message in cases:
            with self.assertRaises(openai.APIStatusError, msg=body) as caught:
                self.client.post("/embeddings", cast_to=object, body={"model": "embedder", **body})
            error = caught.exception
            self.assertEqual((error.status_code, error.param), (status, param), (body, error.body))
            self.assertIn(message, error.body["message"])
            self.assertEqual(error.type, "invalid_request_error")
        with self.assertRaises(openai.NotFoundError) as caught:
            self.client.get("/nothing", cast_to=object)
        self.assertEqual(caught.exception.code, "not_found")

    def test_hugging_faces_client_embeds(self):
        with InferenceClient(model=f"{self.url}/embed") as client:
            self.assert_close(client.feature_extraction(TEXTS[0]), [wanted(CASES[0])])
            raw = client.feature_extraction(TEXTS[0], normalize=False)
            self.assert_close(raw, [CASES[0]["pooled"]["mean"]])
            many = client.feature_extraction("good " * 40, truncate=True)
            self.assertEqual(np.array(many).shape, (1, 8))


class Shapes(Served):
    """The shapes of text-embeddings-inference, byte for byte."""

    def ask(self, path, body):
        """A status and an answer."""
        answer = self.client._client.post(f"{self.url}{path}", json=body)
        return answer.status_code, answer.json()

    def test_embed(self):
        for path in ("/embed", "/tei/embedder/embed"):
            status, answer = self.ask(path, {"inputs": TEXTS})
            self.assertEqual(status, 200, answer)
            self.assert_close(answer, [wanted(case) for case in CASES[: len(TEXTS)]])
        status, answer = self.ask("/embed", {"inputs": TEXTS[0], "normalize": False, "dimensions": 2})
        self.assert_close(answer, [CASES[0]["pooled"]["mean"][:2]])
        _, left = self.ask("/embed", {"inputs": "The " * 30 + "good " * 30, "truncate": True, "truncation_direction": "Left"})
        _, good = self.ask("/embed", {"inputs": "good " * 30})
        self.assert_close(left, good)

    def test_predict(self):
        cases = tasks.EXPECTED["text"]["classes"]
        status, answer = self.ask("/predict", {"inputs": TEXTS[0]})
        self.assertEqual(status, 200, answer)
        self.assertEqual([label["label"] for label in answer], ["good", "bad", "fair"])
        scores = {label["label"]: label["score"] for label in answer}
        self.assert_close([scores[label] for label in ("bad", "fair", "good")], cases[0]["scores"])
        _, answer = self.ask("/predict", {"inputs": [[text] for text in TEXTS], "raw_scores": True})
        for labels, case in zip(answer, cases, strict=False):
            raw = {label["label"]: label["score"] for label in labels}
            self.assert_close([raw[label] for label in ("bad", "fair", "good")], case["logits"])
        _, pair = self.ask("/predict", {"inputs": [TEXTS[0], TEXTS[1]]})
        _, pairs = self.ask("/predict", {"inputs": [[TEXTS[0], TEXTS[1]], [TEXTS[0]]]})
        self.assertEqual(pairs[0], pair)
        self.assertNotEqual(pairs[1], pair)

    def test_rerank(self):
        first, second, *_ = tasks.EXPECTED["text"]["scores"]
        texts = [first["text"], second["text"]]
        status, answer = self.ask("/rerank", {"query": first["query"], "texts": texts, "return_text": True})
        self.assertEqual(status, 200, answer)
        self.assertEqual([(rank["index"], rank["text"]) for rank in answer], [(1, texts[1]), (0, texts[0])])
        self.assert_close([rank["score"] for rank in answer], [second["score"], first["score"]])
        _, raw = self.ask("/rerank", {"query": first["query"], "texts": texts, "raw_scores": True})
        self.assert_close([rank["score"] for rank in raw], [second["logit"], first["logit"]])
        self.assertNotIn("text", raw[0])

    def test_refusals(self):
        for path, body, status, kind, message in [
            ("/embed", {"inputs": ""}, 422, "Empty", "not_empty"),
            ("/embed", {"inputs": []}, 422, "Empty", "no items"),
            ("/embed", {"inputs": "good " * 40}, 422, "Validation", "got 42 tokens, allowed is 32 tokens"),
            ("/embed", {"inputs": ["a"] * 9}, 413, "Validation", "the limit is 8"),
            ("/embed", {"inputs": 1}, 422, "Validation", "expected a text"),
            ("/predict", {"inputs": ["a", "b", "c"]}, 422, "Validation", "expected a text, a pair of texts"),
            ("/rerank", {"query": "a", "texts": []}, 422, "Empty", "no items"),
            ("/rerank", {"query": "a"}, 422, "Validation", "texts"),
            ("/tei/nosuch/embed", {"inputs": "a"}, 404, "Validation", "nosuch"),
            ("/tei/reranker/embed", {"inputs": "a"}, 400, "Validation", "is not for text embedding"),
            ("/tei/embedder/nothing", {}, 404, "Validation", "there is nothing at"),
        ]:
            found, answer = self.ask(path, body)
            self.assertEqual((found, answer.get("error_type")), (status, kind), (path, body, answer))
            self.assertIn(message, answer["error"])


if __name__ == "__main__":
    unittest.main()
