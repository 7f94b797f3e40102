"""Writes tests/data/tiny-sentiment: a model of MiniLM's shape that is small enough to commit, for the tests.

    .ml/python/bin/python scripts/models/tiny_sentiment.py     after `python3 scripts/get.py reference`

Its weights are random (seeded), so its answers mean nothing; but every text gets its own, and a wrong
token, mask, position or cut changes them. All texts in this file are ours; the vocabulary is made from them.
"""

import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import onnx
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

import bert
import packed
from runner import Runner, answer

OUT = Path(__file__).resolve().parents[2] / "tests" / "data" / "tiny-sentiment"
MAX_TOKENS = 64
VOCABULARY = 112
NORMALIZER = normalizers.BertNormalizer(lowercase=True)
SPLITTER = pre_tokenizers.BertPreTokenizer()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CONFIG = bert.Config(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    max_position_embeddings=MAX_TOKENS,
    layer_norm_eps=1e-12,
)
INTERMEDIATE = 32

SENTENCES = [
    "The soup was warm and the bread was fresh.",
    "I waited an hour and nobody came.",
    "What a lovely little lamp, it lights the whole room!",
    "The zip broke on the second day.",
    "Good value, quick delivery, would buy again.",
    "It is not bad, but it is not good either.",
    "The battery lasts longer than they say.",
    "Terrible. Just terrible.",
    "My daughter loves the red one and my son the blue one.",
    "Too loud, too hot, too heavy.",
    "The manual is in seven languages and clear in none of them.",
    "Nothing to complain about.",
    "I sent it back the same evening.",
    "The best kettle we have had in years.",
    "It smells of plastic and the lid does not close.",
    "Friendly staff, clean rooms, a quiet street.",
    "The film is slow at first and then you cannot look away.",
    "Half of the puzzle was missing.",
    "Works as it should: no more, no less.",
    "We laughed, we cried, we want our money back.",
]

EDGES = [
    "",
    " ",
    "\t\n",
    ".",
    "?!",
    "a",
    "GOOD",
    "good",
    "  too   many    spaces  ",
    "line one\nline two",
    "Crème brûlée, très bonne!",
    "Größe passt, Farbe schön.",
    "Это было хорошо.",
    "とても良い",
    "很好",
    "👍",
    "love it 😍😍😍",
    "👩‍👩‍👧 family friendly",
    "don't can't won't it's",
    "e-mail@example, 50 % off, $9.99 (was #1)",
    "zero\u200bwidth and non\u00a0breaking",
    "e\u0301 and \u00e9 are one letter",
    "[CLS] [SEP] [MASK] [PAD]",
    "x" * 150,
    "good " * 61,
    "good " * 62,
    "good " * 63,
    " ".join(SENTENCES),
    "bad " * 100,
]


def main():
    """Writes the tokenizer, the model and the expected answers."""
    OUT.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer()
    (OUT / "tokenizer.json").write_text(tokenizer.to_str(), "utf-8")
    words = random_weights(tokenizer.get_vocab_size())
    head = spread_head(words, tokenizer.to_str())
    metadata = {"labels": "negative,positive", "license": "MIT OR Apache-2.0", "max_tokens": str(MAX_TOKENS)}
    for name, form in (("model.onnx", bert), ("packed.onnx", packed)):
        model = form.sentiment_model(words, CONFIG, head, metadata)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, OUT / name)
    runner = Runner(str(OUT / "model.onnx"), tokenizer.to_str())
    with (OUT / "expected.ndjson").open("w", encoding="utf-8") as file:
        for text in SENTENCES + EDGES:
            expected = answer(*runner.one(text, ["sentence_embedding", "probabilities"]))
            line = {"item": {"text": text, "embedding": True}, "expected": expected}
            file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


def make_tokenizer():
    """A WordPiece tokenizer built as a BERT's, cutting at MAX_TOKENS."""
    pieces = [*SPECIAL, *word_pieces()[: VOCABULARY - len(SPECIAL)]]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = NORMALIZER
    tokenizer.pre_tokenizer = SPLITTER
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def word_pieces():
    """Whole words and short pieces of our sentences, the ones that save most tokens first.

    The package's own trainer breaks ties differently from run to run; counting does not. Single letters
    and signs come before all: with them no word of these letters is unknown.
    """
    gain = Counter()
    for sentence in SENTENCES:
        for word, _ in SPLITTER.pre_tokenize_str(NORMALIZER.normalize_str(sentence)):
            for start, end in combinations(range(len(word) + 1), 2):
                if end - start in (1, 2, 3, len(word)):
                    gain[("##" if start else "") + word[start:end]] += end - start - 1
    return sorted(gain, key=lambda piece: (gain[piece] > 0, -gain[piece], piece))


def random_weights(vocabulary):
    """Random tensors under the names of a Hugging Face BERT, large enough that texts land far apart."""
    random, hidden = np.random.default_rng(7), CONFIG.hidden_size
    weights = {}

    def add(name, *shape, scale):
        weights[name] = (random.standard_normal(shape) * scale).astype(np.float32)

    def linear(name, width_out, width_in):
        add(f"{name}.weight", width_out, width_in, scale=1.5 / np.sqrt(width_in))
        add(f"{name}.bias", width_out, scale=0.1)

    def norm(name):
        add(f"{name}.weight", hidden, scale=0.1)
        weights[f"{name}.weight"] += 1
        add(f"{name}.bias", hidden, scale=0.1)

    for table, rows in (
        ("word", vocabulary),
        ("token_type", 2),
        ("position", CONFIG.max_position_embeddings),
    ):
        add(f"embeddings.{table}_embeddings.weight", rows, hidden, scale=1 if table == "word" else 0.3)
    norm("embeddings.LayerNorm")
    for number in range(CONFIG.num_hidden_layers):
        layer = f"encoder.layer.{number}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linear(f"{layer}.attention.{part}", hidden, hidden)
        linear(f"{layer}.intermediate.dense", INTERMEDIATE, hidden)
        linear(f"{layer}.output.dense", hidden, INTERMEDIATE)
        norm(f"{layer}.attention.output.LayerNorm")
        norm(f"{layer}.output.LayerNorm")
    return weights


def spread_head(weights, tokenizer):
    """A head along the direction in which our sentences differ most, so that their scores differ visibly."""
    runner = Runner(bert.encoder_model(weights, CONFIG).SerializeToString(), tokenizer)
    rows = runner.run(SENTENCES, "sentence_embedding")
    middle = rows.mean(axis=0)
    direction = np.linalg.svd(rows - middle)[2][0]
    weight = direction * 1.5 / np.std((rows - middle) @ direction)
    return {"weight": weight, "bias": -float(middle @ weight)}


if __name__ == "__main__":
    main()
