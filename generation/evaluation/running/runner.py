"""A run: every configuration generates every task, the bodies are judged, and the numbers are written.

The repository that a session sees is a working copy: while its index is built the bodies of all tasks are gone, and
while a task is generated its own body is gone from the disk. One model is loaded for all. Records are appended as they
come, so a killed run goes on where it was. Start reading at ``generate`` and ``judge``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from time import perf_counter

from generation import service
from generation.config import GeneratorConfig
from generation.errors import MemberwiseError
from generation.evaluation.running.records import Record, append_record, failed_record, read_records, record_of
from generation.evaluation.sources import KeptNames
from generation.evaluation.tasks import OpenHole, Task, collect_tasks, open_hole, sample, without_bodies
from generation.evaluation.validity.verdicts import Check, Verdict, judge_all
from generation.evaluation.working_copy import WorkingCopy, working_copy
from generation.interfaces import LanguageModel
from generation.source.files import SourceFile, read_source
from generation.source.functions import FunctionSite, list_functions

TRUE = "true"  # the name under which the true bodies are judged, as a reference


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run.

    Attributes:
        roots: the repositories, by name.
        tasks: what is generated, by repository.
        configs: how, by the name that rows of the report have.
        out: the folder of records, verdicts and reports.
    """

    roots: Mapping[str, Path]
    tasks: Mapping[str, Sequence[Task]]
    configs: Mapping[str, GeneratorConfig]
    out: Path

    @property
    def generations(self) -> int:
        """How many bodies there are to write."""
        return len(self.configs) * sum(map(len, self.tasks.values()))

    @property
    def records_path(self) -> Path:
        """Where records are appended."""
        return self.out / "records.jsonl"


def draw_tasks(
    roots: Mapping[str, Path], total: int | None, per_repository: int | None, seed: int
) -> dict[str, list[Task]]:
    """Tasks of the repositories: as many of each as of any other, as far as they have them.

    Args:
        roots: the repositories, by name.
        total: at most so many in all.
        per_repository: at most so many of each.
        seed: of the choice; a larger number only adds tasks.
    """
    found = {name: collect_tasks(root, name) for name, root in roots.items()}
    counts = {name: min(len(tasks), per_repository or len(tasks)) for name, tasks in found.items()}
    quotas = _quotas(counts, sum(counts.values()) if total is None else total)
    return {name: sample(tasks, name, quotas[name], seed) for name, tasks in found.items() if quotas[name]}


def _quotas(counts: Mapping[str, int], total: int) -> dict[str, int]:
    """One in turn to everyone who has some left."""
    turns = [name for turn in zip_longest(*([name] * count for name, count in counts.items())) for name in turn if name]
    given = turns[:total]
    return {name: given.count(name) for name in counts}


# --------------------------------------------------------------------------------------------- generating


def generate(
    plan: Plan, model: LanguageModel, model_hash: str = "", *, done: Callable[[Record], None] | None = None
) -> list[Record]:
    """Every record of the plan, in its order; those that ``plan.out`` holds already are not made again.

    Args:
        plan: what to run.
        model: used by all sessions.
        model_hash: of the weights; another one makes other records.
        done: is told of every record, old ones included.
    """
    plan.out.mkdir(parents=True, exist_ok=True)
    settings = {name: _settings(config, model.name, model_hash) for name, config in plan.configs.items()}
    known = {record.key: record for record in read_records(plan.records_path)}
    records: list[Record] = []
    for name, tasks in plan.tasks.items():
        for record in _generate_repository(plan, plan.roots[name], tasks, settings, known, model):
            if record.key not in known:
                append_record(plan.records_path, record)
            records.append(record)
            if done is not None:
                done(record)
    return records


def _settings(config: GeneratorConfig, model: str, model_hash: str) -> str:
    """Paths, and what only changes the speed, stay out."""
    parts = (model, model_hash, config.adapter, config.dtype, config.max_tokens, config.decoding, config.sampling)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _generate_repository(
    plan: Plan,
    root: Path,
    tasks: Sequence[Task],
    settings: Mapping[str, str],
    known: Mapping[tuple[str, str, str], Record],
    model: LanguageModel,
) -> Iterator[Record]:
    keys = {(task, name): (task.id, name, settings[name]) for task in tasks for name in plan.configs}
    yield from (known[key] for key in keys.values() if key in known)
    if all(key in known for key in keys.values()):
        return
    kept = KeptNames(root)
    with working_copy(root, plan.out) as copy:
        for name, config in plan.configs.items():
            left = [task for task in tasks if keys[task, name] not in known]
            yield from _generate_config(copy, left, kept, name, config, settings[name], model, tasks)


def _generate_config(
    copy: WorkingCopy,
    left: Sequence[Task],
    kept: KeptNames,
    name: str,
    config: GeneratorConfig,
    settings: str,
    model: LanguageModel,
    tasks: Sequence[Task],
) -> Iterator[Record]:
    if not left:
        return
    with copy.holding(_all_removed(copy.original, tasks)):
        session = service.build_generator(config, copy.root, model)
    with session:
        for task in left:
            yield _generate_task(session, copy, task, kept, name, settings)


def _all_removed(root: Path, tasks: Sequence[Task]) -> dict[str, str]:
    paths = {task.path for task in tasks}
    return {path: without_bodies([t for t in tasks if t.path == path], read_source(root / path).text) for path in paths}


def _generate_task(
    session: service.Session, copy: WorkingCopy, task: Task, kept: KeptNames, name: str, settings: str
) -> Record:
    opened = open_hole(task, read_source(copy.original / task.path).text, kept)
    with copy.holding({task.path: opened.text}):
        file = read_source(copy.root / task.path)
        started_s = perf_counter()
        try:
            events = list(session.stream(site_of(opened), file))
        except MemberwiseError as error:
            return failed_record(task.id, name, settings, error, perf_counter() - started_s)
        return record_of(task.id, name, settings, events, perf_counter() - started_s)


def site_of(opened: OpenHole) -> FunctionSite:
    """The function whose body is the hole."""
    return next(site for site in list_functions(opened.text) if site.body_start == len(opened.before))


# --------------------------------------------------------------------------------------------- judging


def judge(
    plan: Plan, records: Iterable[Record], *, done: Callable[[Check], None] | None = None
) -> dict[tuple[str, str], Verdict]:
    """Verdicts by task id and configuration; those of the true bodies stand under ``TRUE``.

    Raises:
        MissingExtraError: pylint is not installed.
    """
    by_task: dict[str, list[Record]] = {}
    for record in records:
        by_task.setdefault(record.task, []).append(record)
    checks: dict[Path, list[Check]] = {}
    for name, tasks in plan.tasks.items():
        root = plan.roots[name]
        kept = KeptNames(root)
        checks[root] = [c for task in tasks for c in _checks(root, task, kept, by_task.get(task.id, []))]
    verdicts = judge_all(checks, plan.out / "pylint", done=done)
    asked = [check for listed in checks.values() for check in listed]
    return {(check.task, check.config): verdicts[check] for check in sorted(asked, key=lambda c: c.config == TRUE)}


def _checks(root: Path, task: Task, kept: KeptNames, records: Sequence[Record]) -> Iterator[Check]:
    file = read_source(root / task.path)
    opened = open_hole(task, file.text, kept)
    site = site_of(opened)
    body = file.text[task.start : task.end]
    true_site = next(site for site in list_functions(file.text) if site.body_start == task.start)
    yield Check(task.id, TRUE, task.path, file.text, (true_site.header_start, task.end), body, opened.text)
    for record in records:
        text = service.apply(_as_file(file, opened.text), site, record.finished())
        span = _span(text, opened, site)
        yield Check(task.id, record.config, task.path, text, span, record.text, opened.text)


def _as_file(file: SourceFile, text: str) -> SourceFile:
    return SourceFile(file.path, file.target, text, file.encoding, file.newline, file.mode, text.encode())


def _span(text: str, opened: OpenHole, site: FunctionSite) -> tuple[int, int]:
    """Where the function is, imports having been added before it: what follows its body has not changed."""
    end = len(text) - len(opened.after)
    header = opened.before[site.header_start :]
    return max(text.rfind(header, 0, end), 0), end


def write_verdicts(path: Path, verdicts: Mapping[tuple[str, str], Verdict]) -> None:
    """One line of JSON per verdict, those of the true bodies included: what pylint says of those is its own error."""
    lines = [
        json.dumps({"task": task, "config": config, "valid": verdict.valid, **asdict(verdict)}, ensure_ascii=False)
        for (task, config), verdict in sorted(verdicts.items())
    ]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
