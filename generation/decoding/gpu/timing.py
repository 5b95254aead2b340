"""How a call is timed, on a GPU and off it. Knows nothing of what is timed."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

ROUNDS, UNCOUNTED = 3, 3
_REPEATS = 20  # of an operation that is timed


def timed_s(call: Callable[[], object]) -> float:
    """Seconds of one call, which waits for the device."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def repeated_ms(call: Callable[[], object], device: torch.device) -> float:
    """Milliseconds of one of many calls; on a GPU recorded as a graph, so that it never waits for Python."""
    for _ in range(UNCOUNTED):
        call()

    def repeat() -> None:
        for _ in range(_REPEATS):
            call()

    if device.type != "cuda":
        return timed_s(repeat) * 1000 / _REPEATS
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        repeat()

    def replay() -> None:
        graph.replay()
        torch.cuda.synchronize()

    replay()
    return min(timed_s(replay) for _ in range(ROUNDS)) * 1000 / _REPEATS
