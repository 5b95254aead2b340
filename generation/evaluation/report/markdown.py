"""The report as a page of Markdown. Start reading at ``as_markdown``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from generation.evaluation.metrics.intervals import Value
from generation.evaluation.metrics.scores import METRICS
from generation.evaluation.report.tables import Report

TABLES: Mapping[str, Sequence[str]] = {
    "Dependencies and validity": ("dep_cov", "dep_cov_paper", "svr", "svr_strict", "svr_dep"),
    "Likeness to the true body": ("em", "edit_sim", "bleu4", "codebleu", "pass_at_1"),
    "Repository names, teacher-forced": (
        "identifier_recall_free",
        "identifier_recall",
        "tool_ceiling",
        "wrong_list_share",
    ),
    "What is wrong": ("unknown_name_share", "empty_share", "syntax_error_share"),
    "Cost": (
        "seconds_per_function",
        "first_text_s",
        "tokens_per_s",
        "forwards_per_token",
        "tool_calls",
        "tool_ms",
        "late_answers",
        "peak_memory_mb",
    ),
}
NOTE = (
    "Over tasks; in brackets a 95 % bootstrap interval over tasks. `true` is what people wrote: what it lacks is the "
    "judge's own error."
)


def as_markdown(report: Report) -> str:
    """What was run, the tables, and rows against the baseline."""
    lines = ["# Evaluation", "", *(f"* {_words(name)}: {value}" for name, value in report["about"].items()), ""]
    for title, names in TABLES.items():
        if not _has_any(report["configs"], names):
            continue
        lines += [f"## {title}", "", *_table(report["configs"], names), ""]
    lines += [NOTE, ""]
    if report["differences"]:
        lines += [f"## Against {report['baseline']}", "", "Differences, paired over tasks.", ""]
        names = [name for title in list(TABLES)[:3] for name in TABLES[title]]
        lines += [*_table(report["differences"], names, signed=True), ""]
    return "\n".join(lines)


def _has_any(rows: Mapping[str, Mapping[str, Value]], names: Sequence[str]) -> bool:
    return any(row[name]["value"] is not None for row in rows.values() for name in names)


def _table(rows: Mapping[str, Mapping[str, Value]], names: Sequence[str], *, signed: bool = False) -> list[str]:
    shown = [name for name in names if any(name in row and row[name]["value"] is not None for row in rows.values())]
    header = ["configuration", *map(heading, shown)]
    body = [[row_name, *(cell(name, row[name], signed=signed) for name in shown)] for row_name, row in rows.items()]
    return ["| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *body]]


def heading(name: str) -> str:
    """How a column is called."""
    return METRICS[name].heading if name in METRICS else "peak MB"


def cell(name: str, value: Value, *, signed: bool = False) -> str:
    """A value with its interval."""
    if value["value"] is None or value["low"] is None or value["high"] is None:
        return "–"
    number, low, high = (_number(name, each, signed) for each in (value["value"], value["low"], value["high"]))
    return f"{number} [{low}, {high}]"


def _number(name: str, value: float, signed: bool) -> str:
    sign = "+" if signed else ""
    if name in METRICS and METRICS[name].is_share:
        return f"{value * 100:{sign}.1f}"
    return f"{value:{sign}.2f}" if abs(value) < 100 else f"{value:{sign}.0f}"


def _words(name: str) -> str:
    return name.replace("_", " ")
