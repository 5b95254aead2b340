"""The report as one HTML page that needs nothing else: tables, plots, and every task to look at.

The page's own code is ``page.html``; this module prepares what it shows. Start reading at ``as_html``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from generation.evaluation.metrics.bodies import chains
from generation.evaluation.metrics.scores import METRICS, Result
from generation.evaluation.report.markdown import NOTE, TABLES, cell, heading
from generation.evaluation.report.plots import dot_plot
from generation.evaluation.report.tables import Report
from generation.evaluation.tasks import TRUE

_PLOTTED = (
    "svr", "dep_cov", "svr_dep", "svr_strict", "dep_cov_paper", "edit_sim", "em", "bleu4", "codebleu", "pass_at_1",
    "seconds_per_function", "tokens_per_s",
)  # fmt: skip


def as_html(report: Report, results: Sequence[Result]) -> str:
    """The page."""
    import jinja2

    template = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    page = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(template)
    data = json.dumps(_tasks(results), ensure_ascii=False, allow_nan=False)
    return page.render(
        about=_about(report["about"]),
        rows=report["about"].get("rows", {}),
        tables=[table for title in TABLES if (table := _table(report, title))["header"]],
        plots=_plots(report),
        baseline=report["baseline"],
        differences=_differences(report),
        note=NOTE.replace("`", ""),
        data=data.replace("<", "\\u003c"),  # nothing in it can end the script element it stands in
    )


def _about(about: Mapping[str, object]) -> dict[str, str]:
    flat = {name: value for name, value in about.items() if name != "rows"}
    return {name.replace("_", " "): _flat(value) for name, value in flat.items()}


def _flat(value: object) -> str:
    return ", ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, Mapping) else str(value)


def _plots(report: Report) -> list[tuple[str, str]]:
    drawn = []
    for name in _PLOTTED:
        rows = {row: values[name] for row, values in report["configs"].items()}
        svg = dot_plot(METRICS[name].heading, rows, percent=METRICS[name].is_share)
        if svg:
            drawn.append((METRICS[name].heading + (", %" if METRICS[name].is_share else ""), svg))
    return drawn


def _table(report: Report, title: str) -> dict[str, object]:
    rows = report["configs"]
    names = [name for name in TABLES[title] if any(row[name]["value"] is not None for row in rows.values())]
    best = {name: _best(report, name) for name in names}
    body = [
        (row, [(*_split(cell(name, values[name])), row in best[name]) for name in names])
        for row, values in rows.items()
    ]
    return {"title": title, "header": [heading(name) for name in names], "rows": body}


def _differences(report: Report) -> dict[str, object]:
    names = [name for title in list(TABLES)[:3] for name in TABLES[title]]
    rows = report["differences"]
    names = [name for name in names if any(row[name]["value"] is not None for row in rows.values())]
    body = []
    for row, values in rows.items():
        cells = [
            (*_split(cell(name, value, signed=True)), (value["low"] or 0) > 0 or (value["high"] or 0) < 0)
            for name in names
            for value in (values[name],)
        ]
        body.append((row, cells))
    return {"header": [heading(name) for name in names], "rows": body}


def _best(report: Report, name: str) -> set[str]:
    """The rows with the best value; the true bodies do not compete."""
    rows = {row: values[name]["value"] for row, values in report["configs"].items() if row != TRUE}
    known = {row: value for row, value in rows.items() if value is not None}
    if not known or name not in METRICS or not METRICS[name].has_best:
        return set()
    best = min(known.values()) if METRICS[name].lower_is_better else max(known.values())
    return {row for row, value in known.items() if value == best} if len(set(known.values())) > 1 else set()


def _split(text: str) -> tuple[str, str]:
    value, _, interval = text.partition(" ")
    return value, interval


# --------------------------------------------------------------------------------------------- the tasks


def _tasks(results: Sequence[Result]) -> list[dict[str, object]]:
    by_task: dict[str, list[Result]] = {}
    for result in results:
        by_task.setdefault(result.task, []).append(result)
    return [_task(task, listed) for task, listed in by_task.items()]


def _task(task: str, results: Sequence[Result]) -> dict[str, object]:
    place, _, qualname = task.partition("::")
    repository, _, path = place.partition("/")
    true = next(result for result in results if result.config == TRUE)
    return {
        "id": task,
        "repo": repository,
        "path": path,
        "name": qualname.rpartition("@")[0],
        "header": true.header,
        "dependencies": sorted(true.facts.dependencies),
        "rows": [_row(result) for result in [true, *(each for each in results if each.config != TRUE)]],
    }


def _row(result: Result) -> dict[str, object]:
    record, verdict = result.record, result.verdict
    return {
        "config": result.config,
        "body": result.body,
        "valid": verdict.valid,
        "strict": verdict.strictly_valid,
        "empty": verdict.empty,
        "errors": [[each["line"] - result.first_line, each["symbol"], each["text"]] for each in verdict.found],
        "error": (record.error if record else None) or verdict.error or result.facts.error,
        "used": sorted(result.facts.dependencies & chains(result.body)),
        "exact": result.similarity.exact,
        "edit": round(result.similarity.edit, 3),
        "passed": result.passed,
        "reason": record.reason if record else None,
        "seconds": round(record.seconds, 2) if record else None,
        "imports": record.imports if record else [],
        "calls": record.calls if record else [],
    }
