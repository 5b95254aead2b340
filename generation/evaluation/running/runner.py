"""Generating: every row writes a body for every task.

The repository that a session sees is a working copy: while its index is built the bodies of all tasks are gone, and
while a task is generated its own body is gone from the disk. Models are loaded one after the other, each once. Records
are appended as they come, so a killed run goes on where it was, and several processes share the work. Start reading at
``generate``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from time import perf_counter

import psutil

from generation import service
from generation.errors import MemberwiseError
from generation.evaluation.running.plan import Plan
from generation.evaluation.running.records import Costs, Record, RecordKey, failed_record, ledger, record_of
from generation.evaluation.running.workplace import LazyModel, LoadModel, RepositoryCopy
from generation.evaluation.tasks import Task
from generation.ledger import Ledger
from generation.source.files import SourceFile
from generation.source.functions import FunctionSite
from generation.types import Finished, GenerationStats, TextDelta, ToolCalled

_WAIT_S = 2.0  # between two looks at what another process is doing


def generate(
    plan: Plan,
    load_model: LoadModel | None = None,
    *,
    done: Callable[[Record], None] | None = None,
    known: Callable[[int], None] | None = None,
) -> list[Record]:
    """Every record of the plan, in its order; those that ``plan.out`` holds already are not made again.

    Args:
        plan: what to run.
        load_model: called once for each set of weights that is needed; ``service.load_model`` when None.
        done: is told of every record that is made here.
        known: is told how many records are there that were not made here.
    """
    records = ledger(plan.out)
    made = 0

    def count(record: Record) -> None:
        nonlocal made
        made += 1
        if known is not None:
            known(plan.generations - _left(plan, plan.configs, records) - made)
        if done is not None:
            done(record)

    for config, rows in plan.by_weights():
        with LazyModel(load_model, config) as model:
            while _left(plan, rows, records):
                if not _work(plan, rows, records, model, count):
                    time.sleep(_WAIT_S)  # another process is at all that is left; if it dies, its claims are free
    known_records = records.known()
    return [
        known_records[plan.key(task, row)] for tasks in plan.tasks.values() for task in tasks for row in plan.configs
    ]


def _left(plan: Plan, rows: Iterable[str], records: Ledger[Record]) -> int:
    known = records.known()
    return sum(plan.key(task, row) not in known for tasks in plan.tasks.values() for task in tasks for row in rows)


def _work(
    plan: Plan, rows: Sequence[str], records: Ledger[Record], model: LazyModel, done: Callable[[Record], None]
) -> int:
    """Make every record that nobody else is making; how many."""
    made = 0
    for name, tasks in plan.tasks.items():
        with RepositoryCopy(plan.roots[name], tasks, plan.out) as repository:
            for row in rows:
                for record in _row_records(plan, repository, row, records, model):
                    made += 1
                    done(record)
    return made


def _row_records(
    plan: Plan, repository: RepositoryCopy, row: str, records: Ledger[Record], model: LazyModel
) -> Iterator[Record]:
    with ExitStack() as stack:
        session: service.Session | None = None
        for task in repository.tasks:
            key = plan.key(task, row)
            if key in records.known():
                continue
            with records.claim(key) as is_ours:
                if is_ours:
                    session = session or stack.enter_context(repository.session(plan.configs[row], model.get()))
                    record = _generate(repository, session, task, key)
                    records.add(record)
                    yield record


def _generate(repository: RepositoryCopy, session: service.Session, task: Task, key: RecordKey) -> Record:
    with repository.opened(task) as opened:
        started_s = perf_counter()
        try:
            return _record(session, opened.site, opened.file, key)
        except MemberwiseError as error:
            return failed_record(key, error, perf_counter() - started_s)


def _record(session: service.Session, site: FunctionSite, file: SourceFile, key: RecordKey) -> Record:
    if session.config.sampling.candidates > 1:
        return _record_of_candidates(session, site, file, key)
    started_s = perf_counter()
    first_text_s = None
    calls: list[ToolCalled] = []
    finished: Finished | None = None
    for event in session.stream(site, file):
        match event:
            case TextDelta(text=text) if first_text_s is None and text.strip():
                first_text_s = perf_counter() - started_s
            case ToolCalled():
                calls.append(event)
            case Finished():
                finished = event
    assert finished is not None
    return record_of(key, finished, calls, Costs(perf_counter() - started_s, first_text_s, _memory_bytes()))


def _record_of_candidates(
    session: service.Session, site: FunctionSite, file: SourceFile, key: tuple[str, str, str]
) -> Record:
    """The best of several; it costs what all of them cost."""
    started_s = perf_counter()
    ranked = session.candidates(site, file, session.config.sampling.candidates)
    spent = [candidate.finished.stats for candidate in ranked]
    stats = GenerationStats(
        prompt_tokens=spent[0].prompt_tokens,
        generated_tokens=sum(one.generated_tokens for one in spent),
        forwards=sum(one.forwards for one in spent),
        tool_calls=sum(one.tool_calls for one in spent),
        tool_ms=sum(one.tool_ms for one in spent),
        total_ms=sum(one.total_ms for one in spent),
        logprob=spent[0].logprob,
    )
    finished = replace(ranked[0].finished, stats=stats)
    return record_of(key, finished, ranked[0].calls, Costs(perf_counter() - started_s, None, _memory_bytes()))


def _memory_bytes() -> int:
    """Resident now, in this process and those of the tool."""
    own = psutil.Process()
    total = own.memory_info().rss
    for child in own.children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.Error:
            continue
    return int(total)
