"""What a batch says while it runs."""

from __future__ import annotations

import io
import re

import pytest

from generation.batch.records import BatchRecord, Status
from generation.cli import batch_progress
from generation.cli.batch_progress import BatchProgress

DONE = BatchRecord("r", "a.py", "f", "s", Status.DONE, stats={"generated_tokens": 50, "tool_ms": 1500.0})
FAILED = BatchRecord("r", "a.py", "g", "s", Status.FAILED, error="too deep")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_it_says_how_far_it_is_and_what_it_costs(stream: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_progress, "_EVERY_S", 0.0)
    monkeypatch.setattr(batch_progress, "_LIVE_S", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    told = stream()
    with BatchProgress(5, told) as progress:
        progress.skip(2)
        progress.step(DONE)
        assert re.fullmatch(
            r"filled 3/5, 0 failed, [\d.]+ a minute, \d+ tokens/s, 1\.5 s for the tool, about [\d.]+ min left",
            progress.line(),
        )
        progress.step(FAILED)
    lines = told.getvalue().splitlines()
    assert "filled 4/5, 1 failed" in lines[-1]
    assert ("\x1b[" in told.getvalue()) is (stream is Terminal)
    assert any("filled 3/5" in line for line in lines) or stream is Terminal
