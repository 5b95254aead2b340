"""Where the milliseconds of a forward go, against the time it takes to read what it needs. Start at ``profile``."""

from __future__ import annotations

import statistics
import time
from typing import Any

_ROUNDS = 15


def profile(model: Any, rows: int, context_tokens: int, threads: int) -> dict[str, Any]:
    """Median milliseconds of each part of a forward of ``rows`` behind ``context_tokens``, and of the whole.

    Args:
        model: one that runs on our own kernels.
        rows: 1 is a plain step.
        context_tokens: what attention reads.
        threads: of a forward of the model; memory is read with as many.
    """
    from generation.decoding.memory_speed import read_gb_per_s

    network = model.network
    forward = network.blank_forward()
    forward(rows, context_tokens)
    rounds = []
    for _ in range(_ROUNDS):
        network.times_ms()
        started = time.perf_counter()
        forward(rows, context_tokens)
        whole_ms = (time.perf_counter() - started) * 1000
        parts = network.times_ms()
        rounds.append({**parts, "else": whole_ms - sum(parts.values()), "whole": whole_ms})
    parts_ms = {name: round(statistics.median(one[name] for one in rounds), 2) for name in rounds[0]}
    read_mb = (_weight_bytes(network) + context_tokens * _row_bytes(network)) / 1e6
    bandwidth = read_gb_per_s(threads)
    limit_ms = read_mb / bandwidth
    return {"rows": rows, "context_tokens": context_tokens, "ms": parts_ms, "read_mb": round(read_mb),
            "bandwidth_gb_per_s": round(bandwidth, 1), "limit_ms": round(limit_ms, 2)}  # fmt: skip


def _weight_bytes(network: Any) -> int:
    return sum(array.nbytes for array in network.weights.arrays.values())


def _row_bytes(network: Any) -> int:
    shape = network.weights.shape
    return int(2 * shape.layers * shape.key_heads * shape.head_size * (2 if network.weights.int8 else 4))
