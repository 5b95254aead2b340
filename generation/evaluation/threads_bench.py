"""Whether threads help, and what they cost where other programs want the same cores. Start reading at ``measure``."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from generation.interfaces import LanguageModel

_ROUNDS = 5
_PROMPT = tuple(range(100, 164))


def situations() -> list[tuple[str, int]]:
    """Names, and how many programs run beside the model."""
    return [("alone", 0), ("one busy neighbour", 1), ("a busy neighbour on every core", os.cpu_count() or 1)]


def measure(models: Mapping[int, LanguageModel], steps: int, neighbours: int) -> dict[str, float]:
    """Steps a second by threads, medians of rounds in which the models take turns, beside busy neighbours."""
    from generation.decoding.rivals import OwnEngine

    found: dict[int, list[float]] = {threads: [] for threads in models}
    with _busy(neighbours):
        for _ in range(_ROUNDS):
            for threads, model in models.items():
                timing = OwnEngine(model, drafts=False, clock=time.perf_counter).write(_PROMPT, steps)
                found[threads].append(steps / timing.write_s)
    return {f"{threads} threads": round(statistics.median(speeds), 1) for threads, speeds in found.items()}


@contextlib.contextmanager
def _busy(count: int) -> Iterator[None]:
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()
