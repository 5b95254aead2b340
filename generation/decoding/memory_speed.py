"""How fast this machine reads memory, which bounds what a forward can be. Knows no model."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

_READ_BYTES = 256 << 20
_ROUNDS = 15


def read_gb_per_s(threads: int) -> float:
    """GB a second that so many threads read, the best of some rounds; numpy asks huge pages for it, as for weights."""
    pieces = np.array_split(np.ones(_READ_BYTES // 8, np.int64), threads)
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_ROUNDS):
            started = time.perf_counter()
            list(pool.map(np.bitwise_or.reduce, pieces))
            best = min(best, time.perf_counter() - started)
    return _READ_BYTES / best / 1e9
