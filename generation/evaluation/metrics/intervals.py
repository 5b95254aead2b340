"""Numbers over tasks with their uncertainty: sums of per-task statistics, and a bootstrap over tasks.

Every metric is a function of sums over tasks (a mean is one sum over another, BLEU a function of ten sums), so a
resample is a matrix product. All metrics of all rows see the same resamples: differences between rows are paired. Knows
nothing of what is measured. Start reading at ``Bootstrap``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000

Statistic = tuple[float, ...]
Combine = Callable[[Sequence[float]], float]


class Value(TypedDict):
    """A number over tasks, with the ends of its 95 % interval; None where no task has one."""

    value: float | None
    low: float | None
    high: float | None


NOTHING = Value(value=None, low=None, high=None)


def ratio(sums: Sequence[float]) -> float:
    """The first sum over the second: a mean, or a pooled share."""
    return sums[0] / sums[1] if sums[1] else math.nan


class Bootstrap:
    """Resamples of a number of tasks, drawn once."""

    def __init__(self, tasks: int, seed: int) -> None:
        draw = np.random.default_rng(seed)
        self._weights = draw.multinomial(tasks, np.full(tasks, 1.0 / tasks), size=RESAMPLES).astype(np.float64)

    def value(self, statistics: Sequence[Statistic | None], combine: Combine) -> Value:
        """A metric of one row: its statistic for every task in order, None where the task does not count."""
        point, resampled = self._numbers(statistics, combine)
        return _value(point, resampled)

    def difference(
        self, ours: Sequence[Statistic | None], theirs: Sequence[Statistic | None], combine: Combine
    ) -> Value:
        """One row minus another, on the same tasks in every resample."""
        (point, resampled), (other, others) = self._numbers(ours, combine), self._numbers(theirs, combine)
        return _value(point - other, resampled - others)

    def _numbers(self, statistics: Sequence[Statistic | None], combine: Combine) -> tuple[float, NDArray[np.float64]]:
        width = max((len(statistic) for statistic in statistics if statistic is not None), default=0)
        if not width:
            return math.nan, np.full(len(self._weights), math.nan)
        table = np.array([statistic or (0.0,) * width for statistic in statistics], dtype=np.float64)
        sums = self._weights @ table
        return combine(table.sum(axis=0).tolist()), np.array([combine(row) for row in sums.tolist()])


def _value(point: float, resampled: NDArray[np.float64]) -> Value:
    known = resampled[np.isfinite(resampled)]
    if not math.isfinite(point) or not len(known):
        return NOTHING
    low, high = np.quantile(known, (0.025, 0.975)).tolist()
    return Value(value=round(point, 6), low=round(low, 6), high=round(high, 6))
