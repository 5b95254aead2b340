"""What a forward costs by how many tokens it scores, measured on this machine: what a draft's length is chosen by.

Measured for a model, a processor and a number of threads, in about a second each of the first times it is loaded, and
kept in the user's cache. Knows no model but by a function that runs one. Start reading at ``known_costs``.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from generation.cache import cache_root

MOST_ROWS = 17  # a token and a draft of 16
_WIDTHS = (1, 2, 3, 4, 6, 8, 12, MOST_ROWS)
_ROUNDS = 3
_TIMES = 3  # loads that measure: the first one may have had busy neighbours

Forward = Callable[[int, int], object]


@dataclass(frozen=True, slots=True)
class StepCosts:
    """Milliseconds of a forward of 1 to ``MOST_ROWS`` rows (the first is row 1) behind two numbers of tokens.

    ``times`` says how often that was measured; the least counts.
    """

    contexts: tuple[int, int]
    short_ms: tuple[float, ...]
    long_ms: tuple[float, ...]
    times: int = 1

    def rows_ms(self, context_tokens: int) -> list[float]:
        """By rows, behind ``context_tokens``."""
        near, far = self.contexts
        share = (context_tokens - near) / (far - near)
        return [max(one, one + (other - one) * share) for one, other in zip(self.short_ms, self.long_ms, strict=True)]

    def least(self, other: StepCosts) -> StepCosts:
        """Of two measurements: others that want the processor only ever add."""
        short, long = map(min, self.short_ms, other.short_ms), map(min, self.long_ms, other.long_ms)
        return StepCosts(self.contexts, tuple(short), tuple(long), self.times + other.times)


def known_costs(key: str, forward: Forward, contexts: tuple[int, int]) -> StepCosts:
    """What was measured under ``key``, now too if that was not often. A cache that cannot be written costs a second."""
    path = cache_root() / "speed" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
    found = _read(path)
    if found is None or found.contexts != contexts or found.times < _TIMES:
        now = measure(forward, contexts)
        found = now if found is None or found.contexts != contexts else found.least(now)
        _write(path, found)
    return found


def measure(forward: Forward, contexts: tuple[int, int]) -> StepCosts:
    """Time ``forward(rows, context_tokens)``; the least of some rounds each."""
    near, far = (_least_ms(forward, context) for context in contexts)
    return StepCosts(contexts, _every_width(near), _every_width(far))


def _least_ms(forward: Forward, context_tokens: int) -> list[float]:
    """By ``_WIDTHS``, which take turns: what happens on the machine meanwhile meets all of them."""
    forward(MOST_ROWS, context_tokens)
    rounds = [[_timed_ms(forward, rows, context_tokens) for rows in _WIDTHS] for _ in range(_ROUNDS)]
    return [min(times) for times in zip(*rounds, strict=True)]


def _timed_ms(forward: Forward, rows: int, context_tokens: int) -> float:
    started = time.perf_counter()
    forward(rows, context_tokens)
    return (time.perf_counter() - started) * 1000


def _every_width(measured: Sequence[float]) -> tuple[float, ...]:
    """Between what was measured by straight lines, never less for more rows."""
    found = [measured[0]]
    for (low, high), value in zip(itertools.pairwise(_WIDTHS), measured[1:], strict=True):
        start = found[-1]
        rise = max(0.0, value - start) / (high - low)
        found += [start + rise * (rows - low) for rows in range(low + 1, high + 1)]
    return tuple(found)


def _read(path: Path) -> StepCosts | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        costs = StepCosts(tuple(found["contexts"]), tuple(found["short_ms"]), tuple(found["long_ms"]), found["times"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return costs if len(costs.short_ms) == len(costs.long_ms) == MOST_ROWS and len(costs.contexts) == 2 else None


def _write(path: Path, costs: StepCosts) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8") as file:
            json.dump(asdict(costs), file)
        os.replace(file.name, path)  # noqa: PTH105
    except OSError:
        return
