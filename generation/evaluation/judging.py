"""From records to results: each body is put into its file, looked at by pylint, and compared with the true one.

The true bodies are judged as well, under the name ``TRUE``: what is reported of those is the judge's own error. Knows
nothing of how bodies were generated. Start reading at ``judge``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from generation import service
from generation.cache import cache_root
from generation.config import ToolConfig
from generation.evaluation.metrics.bodies import canonical, chains
from generation.evaluation.metrics.facts import Facts, gather
from generation.evaluation.metrics.scores import Result
from generation.evaluation.metrics.similarity import compare
from generation.evaluation.running.plan import Plan
from generation.evaluation.running.records import Record
from generation.evaluation.running.workplace import site_of
from generation.evaluation.sources import KeptNames, write_atomically
from generation.evaluation.tasks import TRUE, OpenHole, Task, open_hole
from generation.evaluation.validity.verdicts import Check, judge_all
from generation.source.files import SourceFile, read_source
from generation.source.functions import FunctionSite, list_functions


def judge(
    plan: Plan, records: Iterable[Record], tool: ToolConfig, *, done: Callable[[object], None] | None = None
) -> list[Result]:
    """Results of all records, then those of the true bodies; in the order of tasks.

    Args:
        plan: what was run.
        records: what came of it.
        tool: Jedi's interpreter.
        done: is told of every step, from any thread: one for each body and one for each task.

    Raises:
        MissingExtraError: the extra ``eval`` is not installed.
    """
    cache = plan.out / "cache"
    tool = replace(tool, cache=cache.absolute() / "jedi")
    facts = gather(plan.by_root, cache_root() / "facts", tool, done=done)  # the same in every run
    records = list(records)
    checks = in_their_files(plan, records)
    verdicts = judge_all(checks, cache / "pylint", done=done)
    by_key = {(record.task, record.config): record for record in records}
    true = {check.task: canonical(check.body) for listed in checks.values() for check in listed if check.config == TRUE}
    return [
        Result(
            task=check.task,
            config=check.config,
            body=check.body,
            record=by_key.get((check.task, check.config)),
            verdict=verdicts[check],
            facts=facts[check.task],
            similarity=compare(canonical(check.body), true[check.task]),
            header=_header(check),
            first_line=_first_line(check),
        )
        for listed in checks.values()
        for check in listed
    ]


def in_their_files(plan: Plan, records: Iterable[Record]) -> dict[Path, list[Check]]:
    """Every body in its file, by the root of its repository; the true bodies under ``TRUE``."""
    by_task: dict[str, list[Record]] = {}
    for record in records:
        by_task.setdefault(record.task, []).append(record)
    return {root: list(_checks(root, tasks, by_task)) for root, tasks in plan.by_root.items()}


def _checks(root: Path, tasks: Sequence[Task], by_task: dict[str, list[Record]]) -> Iterator[Check]:
    kept = KeptNames(root)
    for task in tasks:
        file = read_source(root / task.path)
        opened = open_hole(task, file.text, kept)
        site = site_of(opened)
        for record in by_task.get(task.id, ()):
            text = service.apply(_as_file(file, opened.text), site, record.finished())
            span = _span(text, opened, site)
            yield Check(task.id, record.config, task.path, text, span, record.text, opened.text)
        true_site = next(site for site in list_functions(file.text) if site.body_start == task.start)
        body = file.text[task.start : task.end]
        yield Check(task.id, TRUE, task.path, file.text, (true_site.header_start, task.end), body, opened.text)


def _header(check: Check) -> str:
    start = check.text.rfind("\n", 0, check.span[0]) + 1
    function = check.text[start : check.span[1]].rstrip()
    return function[: len(function) - len(check.body.rstrip())]


def _first_line(check: Check) -> int:
    """Of the body; it ends where the function does."""
    last = check.text.count("\n", 0, check.span[0] + len(check.text[slice(*check.span)].rstrip())) + 1
    return last - check.body.rstrip().count("\n")


def _as_file(file: SourceFile, text: str) -> SourceFile:
    return SourceFile(file.path, file.target, text, file.encoding, file.newline, file.mode, text.encode())


def _span(text: str, opened: OpenHole, site: FunctionSite) -> tuple[int, int]:
    """Where the function is, imports having been added before it: what follows its body has not changed."""
    end = len(text) - len(opened.after)
    header = opened.before[site.header_start :]
    return max(text.rfind(header, 0, end), 0), end


def write_results(path: Path, results: Sequence[Result]) -> None:
    """One line of JSON per result, to be looked into; the report does not read it."""
    write_atomically(path, "".join(json.dumps(_line(result), ensure_ascii=False) + "\n" for result in results))


def _line(result: Result) -> dict[str, object]:
    return {
        "task": result.task,
        "config": result.config,
        "valid": result.verdict.valid,
        "verdict": asdict(result.verdict),
        **_dependencies(result.body, result.facts),
        "similarity": asdict(result.similarity),
        "passed": result.passed,
    }


def _dependencies(body: str, facts: Facts) -> dict[str, object]:
    wanted = facts.dependencies
    return {"dependencies": sorted(wanted), "used": sorted(wanted & chains(body)), "facts_error": facts.error}
