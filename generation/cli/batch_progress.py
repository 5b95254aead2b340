"""How far a batch is: a live line on a terminal, else a plain one now and then. Start reading at ``BatchProgress``."""

from __future__ import annotations

import sys
import threading
import time
from typing import IO, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from generation.batch.records import BatchRecord, Status

_EVERY_S = 5.0
_LIVE_S = 0.25


class BatchProgress:
    """Counts records from any thread: done, failed, rate, estimate, tokens a second, time waited for the tool.

    Rates and the estimate are of what was made here, since the start.

    Args:
        total: records there will be.
        stream: stderr when None.
    """

    def __init__(self, total: int, stream: IO[str] | None = None) -> None:
        self._total = total
        self._stream = stream or sys.stderr
        self._lock = threading.Lock()
        self._made = self._failed = self._others = 0
        self._tokens = self._tool_s = 0.0
        self._started_s = self._said_s = time.monotonic()
        self._live = (
            Live(console=Console(file=self._stream, force_terminal=True), transient=True)
            if self._stream.isatty()
            else None
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
        print(self.line(), file=self._stream, flush=True)

    def step(self, record: BatchRecord) -> None:
        """One more record was made here."""
        with self._lock:
            self._made += 1
            self._failed += record.status is Status.FAILED
            self._tokens += record.stats.get("generated_tokens", 0)
            self._tool_s += record.stats.get("tool_ms", 0.0) / 1000
            self._say()

    def skip(self, count: int) -> None:
        """So many were there before, or are somebody else's, all in all."""
        with self._lock:
            self._others = count
            self._say()

    def line(self) -> str:
        """What can be said now."""
        spent_s = max(time.monotonic() - self._started_s, 1e-9)
        have = self._made + self._others
        left = max(self._total - have, 0)
        parts = [f"filled {have}/{self._total}", f"{self._failed} failed"]
        if self._made:
            parts += [
                f"{self._made / spent_s * 60:.1f} a minute",
                f"{self._tokens / spent_s:.0f} tokens/s",
                f"{self._tool_s:.1f} s for the tool",
            ]
            parts += [f"about {spent_s / self._made * left / 60:.1f} min left"] if left else []
        return ", ".join(parts)

    def _say(self) -> None:
        now_s = time.monotonic()
        if now_s - self._said_s < (_LIVE_S if self._live else _EVERY_S):
            return
        self._said_s = now_s
        if self._live is not None:
            self._live.update(Text(self.line()))
        else:
            print(self.line(), file=self._stream, flush=True)
