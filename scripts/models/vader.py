"""The texts with human ratings in the source package of vaderSentiment 3.3.2 (MIT), labelled and split.

Four files of `hutto_ICWSM_2014`: movie reviews, product reviews, tweets, newspaper editorials; a line is an
id, the mean of twenty people's ratings (-4 to 4) and the text. A text counts as positive above 0.2 and as
negative below -0.2; what lies between has no label. The test split is the 30 % of texts whose hash is
lowest: it depends on nothing but the text, and equal texts are never on both sides.

    python vader.py SOURCE_PACKAGE TEXTS_NDJSON     writes every text, one JSON object a line
"""

import hashlib
import io
import json
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

DATA = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
OPINIONS = ("movieReviewSnippets", "amazonReviewSnippets", "tweets")
EDITORIALS = "nytEditorialSnippets"
CLEAR = 0.2
TEST_SHARE = 0.3


@dataclass(frozen=True)
class Text:
    """A text with the mean rating people gave it."""

    text: str
    rating: float

    @property
    def label(self):
        """`positive`, `negative`, or None where people did not lean to a side."""
        if abs(self.rating) <= CLEAR:
            return None
        return "positive" if self.rating > 0 else "negative"

    @property
    def in_test(self):
        """Whether the text belongs to the test split."""
        normal = " ".join(self.text.lower().split())
        digest = hashlib.sha256(normal.encode("utf-8")).digest()
        return int.from_bytes(digest[:8], "big") < TEST_SHARE * 2**64


def labelled(package):
    """The training and the test texts: reviews and tweets with a label."""
    texts = [text for text in read(package, OPINIONS) if text.label]
    return [text for text in texts if not text.in_test], [text for text in texts if text.in_test]


def read(package, names=(*OPINIONS, EDITORIALS)):
    """Every text of the named files, in their order."""
    with tarfile.open(package) as outer, tarfile.open(fileobj=outer.extractfile(DATA)) as inner:
        contents = {Path(member.name).name: member for member in inner.getmembers()}
        for name in names:
            lines = inner.extractfile(contents[f"{name}_GroundTruth.txt"])
            yield from map(parse, io.TextIOWrapper(lines, encoding="utf-8"))


def parse(line):
    """One line of a rating file."""
    _, rating, text = line.split("\t", 2)
    return Text(text.strip(), float(rating))


def main(package, out):
    """Writes the texts as the items that a sentiment service takes."""
    part = Path(f"{out}.part")
    with part.open("w", encoding="utf-8") as file:
        for text in read(package):
            file.write(json.dumps({"item": {"text": text.text}}, ensure_ascii=False) + "\n")
    part.rename(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
