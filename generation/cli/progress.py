"""How far a long command is, on the error stream: a line now and then, with an estimate of what is left.

Lines, not a bar: these runs go to log files as often as to terminals. Start reading at ``Progress``.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Self

_EVERY_S = 5.0


class Progress:
    """Counts steps, from any thread; says so at most every few seconds, and at the end.

    The estimate leaves out what was skipped: that took no time.
    """

    def __init__(self, word: str, total: int) -> None:
        self._word, self._total = word, total
        self._done = self._skipped = 0
        self._lock = threading.Lock()
        self._started_s = self._said_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._say()

    def step(self, _: object = None) -> None:
        """One more is done."""
        with self._lock:
            self._done += 1
            if time.monotonic() - self._said_s >= _EVERY_S:
                self._say()

    def skip(self, count: int) -> None:
        """So many were there before, or are somebody else's, all in all."""
        with self._lock:
            self._skipped = count

    def _say(self) -> None:
        self._said_s = time.monotonic()
        done = self._done + self._skipped
        left = max(self._total - done, 0)
        line = f"{self._word} {done}/{self._total}"
        if left and self._done:
            line += f", about {(self._said_s - self._started_s) / self._done * left / 60:.1f} min left"
        print(line, file=sys.stderr, flush=True)
