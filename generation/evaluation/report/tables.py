"""Tables from records and verdicts: one row per configuration, each number with a bootstrap interval over tasks.

A column is an entry of ``COLUMNS``: what it is of one task. Knows nothing of how records came about. Start reading at
``build_report``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypedDict

from generation.evaluation.running.records import Record
from generation.evaluation.validity.verdicts import Verdict

RESAMPLES = 2000


class Value(TypedDict):
    """A mean over tasks, with the ends of its 95 % interval; None where no task has a number."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """A task in one row: the verdict, and the record unless the row is of the true bodies."""

    verdict: Verdict
    record: Record | None


Column = Callable[[Result], float | None]


def _cost(of: Callable[[Record], float | None]) -> Column:
    return lambda result: None if result.record is None else of(result.record)


def _tokens_per_s(record: Record) -> float | None:
    return record.stats["generated_tokens"] / record.seconds if record.seconds else None


COLUMNS: Mapping[str, Column] = {
    "unknown_name_share": lambda result: result.verdict.has_unknown_name,
    "svr": lambda result: result.verdict.valid,
    "svr_strict": lambda result: result.verdict.strictly_valid,
    "empty_share": lambda result: result.verdict.empty,
    "syntax_error_share": lambda result: "syntax-error" in result.verdict.symbols,
    "seconds_per_function": _cost(lambda record: record.seconds),
    "tokens_per_s": _cost(_tokens_per_s),
    "tool_calls": _cost(lambda record: record.stats["tool_calls"]),
    "tool_ms": _cost(lambda record: record.stats["tool_ms"]),
}
_SHARES = frozenset({"unknown_name_share", "svr", "svr_strict", "empty_share", "syntax_error_share"})
_HEADINGS = {
    "unknown_name_share": "unknown member or name",
    "svr": "SVR",
    "svr_strict": "SVR-strict",
    "empty_share": "empty",
    "syntax_error_share": "syntax error",
    "seconds_per_function": "s / function",
    "tokens_per_s": "tokens/s",
    "tool_calls": "tool calls",
    "tool_ms": "tool ms",
}


class Report(TypedDict):
    """``about`` says what was run; ``configs`` holds the rows."""

    about: dict[str, object]
    configs: dict[str, dict[str, Value]]


def build_report(
    about: Mapping[str, object], records: Sequence[Record], verdicts: Mapping[tuple[str, str], Verdict], seed: int = 0
) -> Report:
    """The numbers of a run.

    Args:
        about: model, tasks, settings, machine: whatever a reader needs to judge the numbers.
        records: of all configurations.
        verdicts: by task id and configuration; a configuration without records is shown without costs.
        seed: of the resampling.
    """
    by_key = {(record.task, record.config): record for record in records}
    rows: dict[str, list[Result]] = {}
    for (task, config), verdict in verdicts.items():
        rows.setdefault(config, []).append(Result(verdict, by_key.get((task, config))))
    return Report(about=dict(about), configs={config: _row(results, seed) for config, results in rows.items()})


def _row(results: Sequence[Result], seed: int) -> dict[str, Value]:
    return {name: interval([column(result) for result in results], seed) for name, column in COLUMNS.items()}


def interval(numbers: Sequence[float | None], seed: int, resamples: int = RESAMPLES) -> Value:
    """The mean and its 95 % percentile bootstrap interval; tasks without a number are left out."""
    known = [float(number) for number in numbers if number is not None]
    if not known:
        return Value(value=None, low=None, high=None)
    draw = random.Random(seed)
    means = sorted(fmean(draw.choices(known, k=len(known))) for _ in range(resamples))
    low, high = means[int(0.025 * resamples)], means[min(int(0.975 * resamples), resamples - 1)]
    return Value(value=round(fmean(known), 6), low=round(low, 6), high=round(high, 6))


def as_markdown(report: Report) -> str:
    """The report as a page: what was run, then one table."""
    about = [f"* {name.replace('_', ' ')}: {value}" for name, value in report["about"].items()]
    header = ["configuration", *(_HEADINGS[name] for name in COLUMNS)]
    rows = [[config, *(_cell(name, row[name]) for name in COLUMNS)] for config, row in report["configs"].items()]
    lines = [header, ["---"] * len(header), *rows]
    table = ["| " + " | ".join(line) + " |" for line in lines]
    note = "Means over tasks; in brackets a 95 % bootstrap interval over tasks. `true` is what people wrote."
    return "\n".join(["# Evaluation", "", *about, "", *table, "", note, ""])


def _cell(name: str, value: Value) -> str:
    numbers = (value["value"], value["low"], value["high"])
    if any(number is None for number in numbers):
        return "–"
    shown = [f"{number:.1%}" if name in _SHARES else f"{number:.2f}" for number in numbers]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"
