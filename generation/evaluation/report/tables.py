"""The numbers of a run: one row per configuration, each number with an interval, and rows against each other.

Knows nothing of how results came about, nor how a page looks. Start reading at ``build_report``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from generation.evaluation.metrics.intervals import NOTHING, Bootstrap, Statistic, Value
from generation.evaluation.metrics.scores import METRICS, Result
from generation.evaluation.tasks import TRUE

BASELINES = ("plain-off", "off")  # what rows are compared with: the first that was run


class Report(TypedDict):
    """All numbers.

    ``about`` says what was run; ``configs`` holds the rows; ``baseline`` names one, and ``differences`` holds every
    other row minus that one, paired over tasks.
    """

    about: dict[str, object]
    configs: dict[str, dict[str, Value]]
    baseline: str | None
    differences: dict[str, dict[str, Value]]


def build_report(about: Mapping[str, object], results: Sequence[Result], seed: int = 0) -> Report:
    """The numbers of a run.

    Args:
        about: models, tasks, settings, machine: whatever a reader needs to judge the numbers.
        results: of all rows, each with all tasks.
        seed: of the resampling.
    """
    rows: dict[str, dict[str, Result]] = {}
    for result in results:
        rows.setdefault(result.config, {})[result.task] = result
    tasks = sorted({result.task for result in results})
    statistics = {name: _statistics(row, tasks) for name, row in rows.items()}
    bootstrap = Bootstrap(len(tasks), seed)
    baseline = next((name for name in BASELINES if name in rows), None)
    against = [name for name in rows if baseline and name not in {baseline, TRUE}]
    return Report(
        about=dict(about),
        configs={name: _row(statistics[name], rows[name], bootstrap) for name in rows},
        baseline=baseline,
        differences={name: _differences(statistics[name], statistics[baseline or ""], bootstrap) for name in against},
    )


Statistics = Mapping[str, Sequence[Statistic | None]]


def _statistics(row: Mapping[str, Result], tasks: Sequence[str]) -> Statistics:
    return {name: [metric.of(row[task]) if task in row else None for task in tasks] for name, metric in METRICS.items()}


def _row(statistics: Statistics, row: Mapping[str, Result], bootstrap: Bootstrap) -> dict[str, Value]:
    values = {name: bootstrap.value(statistics[name], metric.combine) for name, metric in METRICS.items()}
    return {**values, "peak_memory_mb": _peak_memory_mb(row)}


def _peak_memory_mb(row: Mapping[str, Result]) -> Value:
    """The largest of all tasks; of a maximum there is no interval."""
    found = [result.record.memory_bytes for result in row.values() if result.record]
    if not any(found):
        return NOTHING
    peak = round(max(found) / 1e6, 1)
    return Value(value=peak, low=peak, high=peak)


def _differences(ours: Statistics, theirs: Statistics, bootstrap: Bootstrap) -> dict[str, Value]:
    return {name: bootstrap.difference(ours[name], theirs[name], metric.combine) for name, metric in METRICS.items()}
