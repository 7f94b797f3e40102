"""A progress line: rewritten in place on a terminal, one line per tenth elsewhere."""

import sys
import time


class Progress:
    """Shows how much of `total` bytes of `name` is there; `start` bytes of them came from an earlier run."""

    def __init__(self, name, total, start=0):
        self.name, self.total, self.start = name, total, start
        self.began = self.shown_at = time.monotonic()
        self.tenth = start * 10 // total
        if start:
            print(f"{name}: going on at {megabytes(start)} of {megabytes(total)} MB", file=sys.stderr)

    def update(self, done):
        """Says that `done` bytes are there."""
        if sys.stderr.isatty():
            self._rewrite(done)
        elif done * 10 // self.total > self.tenth:
            self.tenth = done * 10 // self.total
            print(self._line(done), file=sys.stderr, flush=True)

    def _rewrite(self, done):
        now = time.monotonic()
        last = done >= self.total
        if last or now - self.shown_at > 0.1:
            self.shown_at = now
            print(f"\r{self._line(done)}\033[K", end="\n" if last else "", file=sys.stderr, flush=True)

    def _line(self, done):
        speed = (done - self.start) / max(time.monotonic() - self.began, 1e-3)
        share = done * 100 // self.total
        return (
            f"{self.name}: {megabytes(done)} of {megabytes(self.total)} MB,"
            f" {share} %, {megabytes(speed)} MB/s"
        )


def megabytes(count):
    """The number as megabytes with one decimal."""
    return f"{count / 1e6:.1f}"
