#!/usr/bin/env python3
"""Asks a running sentiment server about eight real reviews and prints its answers: `ask.py URL`.

`ask.py URL --is-ready` only says, by its exit status, whether the server is ready.
"""

import json
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
TEXTS = SCRIPTS.parent / ".ml" / "models" / "sentiment" / "texts.ndjson"
HEAD = SCRIPTS / "models" / "sentiment_head.json"
# Lines of TEXTS, which is the same file everywhere; none was trained on.
REVIEWS = (3903, 8119, 11079, 11162, 4126, 5889, 12354, 13949)
TIMEOUT = 30
# The server is on this machine: a proxy of the environment has no business between.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def main(url, *options):
    """Asks, or only looks whether one could."""
    if options == ("--is-ready",):
        sys.exit(0 if is_ready(url) else 1)
    items = reviews()
    for item, result in zip(items, ask(url, items)):
        print(row(item["text"], result))
    share = json.loads(HEAD.read_text("utf-8"))["test_accuracy"]
    print(f"It judges {share:.0%} of the texts it has not seen as people do; the last one here it does not.")


def is_ready(url):
    """Whether the server answers that it is ready."""
    try:
        return OPENER.open(f"{url}/health/ready", timeout=TIMEOUT).status == 200
    except OSError:
        return False


def reviews():
    """The chosen items."""
    lines = TEXTS.read_text("utf-8").split("\n")
    return [json.loads(lines[number])["item"] for number in REVIEWS]


def ask(url, items):
    """Sends one batch and returns one result per item."""
    headers = {"Content-Type": "application/json"}
    body = json.dumps(items).encode("utf-8")
    request = urllib.request.Request(f"{url}/models/sentiment/predict_batch", body, headers)
    try:
        return json.load(OPENER.open(request, timeout=TIMEOUT))
    except urllib.error.HTTPError as error:
        body = error.read().decode("utf-8", "replace")
        sys.exit(f"error: the server refused the batch with {error.code}: {body}")
    except OSError as error:
        sys.exit(f"error: no server answers at {url}: {error}\n  fix: scripts/demo")


def row(text, result):
    """One line of the table: label, score, and as much of the text as the terminal is wide."""
    if "error" in result:
        label, score = "error", result["error"]["code"]
    else:
        label, score = result["output"]["label"], f"{result['output']['score']:.3f}"
    room = max(shutil.get_terminal_size().columns - 19, 20)
    shown = text if len(text) <= room else text[: room - 1] + "…"
    return f"  {label:<8}  {score:>5}  {shown}"


if __name__ == "__main__":
    main(*sys.argv[1:])
