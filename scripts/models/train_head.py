"""Trains the sentiment head: a logistic regression on the embeddings of the training texts.

    .ml/python/bin/python scripts/models/train_head.py SOURCE_FOLDER VADER_PACKAGE

writes sentiment_head.json; after `python3 scripts/get.py reference` both lie in .ml/downloads. It is
deterministic: same packages, same numbers.
"""

import json
import sys
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

import bert
import minilm
import vader
from runner import Runner

STRENGTH = (
    10  # The inverse of the L2 penalty; from 1 to 100 the cross-validated accuracy changes by half a point.
)


def main(source, package):
    """Embeds, trains, measures, writes."""
    source = Path(source)
    encoder = bert.encoder_model(*minilm.load(source)).SerializeToString()
    runner = Runner(encoder, minilm.tokenizer(source))
    train, test = [table(runner, texts) for texts in vader.labelled(package)]
    # Newton's method ends at the optimum itself, on every CPU the same; L-BFGS stopped 0.0001 away from it.
    head = LogisticRegression(C=STRENGTH, solver="newton-cholesky", tol=1e-10).fit(*train)
    numbers = {
        "train_texts": len(train[1]),
        "test_texts": len(test[1]),
        "test_accuracy": round(head.score(*test), 4),
        "bias": rounded(head.intercept_[0]),
        "weight": [rounded(one) for one in head.coef_[0]],
    }
    print({name: value for name, value in numbers.items() if name != "weight"})
    minilm.HEAD.write_text(json.dumps(numbers) + "\n", "utf-8")


def table(runner, texts):
    """Embeddings and whether each text is positive."""
    rows = runner.run([text.text for text in texts], "sentence_embedding")
    return rows.astype(np.float64), np.array([text.label == "positive" for text in texts])


def rounded(number):
    """Five digits: far finer than the noise of 12,000 ratings, and the same on every CPU."""
    return float(f"{number:.5g}")


if __name__ == "__main__":
    main(*sys.argv[1:])
