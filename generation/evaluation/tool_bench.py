"""How often the repository tool knows the true name, and how long it takes.

A function's body is removed from its file on disk, then the tool is asked at each name of the true body in turn, with
the body up to that name as the text before. The rest of the body is nowhere: not in the buffer, not on disk, not in
the index, which is built while the bodies of all sampled functions are gone. Every question is warm: the worker has
started and the file has been opened, as in an editor; what the product prefetches is prefetched. Jedi looks through an
interpreter with nothing installed, so the numbers hold for a repository without its dependencies. Knows nothing of
models. Start reading at ``measure``.
"""

from __future__ import annotations

import ast
import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from generation.config import ToolConfig
from generation.evaluation.bare_python import bare_python
from generation.evaluation.places import Places
from generation.evaluation.positions import Position, positions
from generation.evaluation.sources import parse, read_text
from generation.evaluation.tasks import Task, collect_tasks, functions_of, hole, stub_of, without_bodies
from generation.evaluation.working_copy import WorkingCopy, working_copy
from generation.interfaces import CompletionTool
from generation.tools.jedi_tool import JediTool
from generation.tools.member_index import MemberIndex
from generation.types import NameKind, ToolAnswer, ToolQuery


@dataclass(frozen=True, slots=True)
class Sample:
    """A function and the positions in its body at which the tool is asked."""

    task: Task
    text: str
    asked: tuple[Position, ...]
    forward_names: int

    @property
    def holed(self) -> str:
        """The file without the body; a stub stands there, so that it parses."""
        before, after = hole(self.task, self.text)
        return before + stub_of(self.text[self.task.start : self.task.end]) + after


@dataclass(frozen=True, slots=True)
class Question:
    """One answer of the tool, judged.

    Attributes:
        in_scope: the true name is among the suggestions.
        importable: the true name is offered with an import.
        offered: the list of suggestions is not empty.
        elapsed_ms: as the caller waited.
    """

    task: Task
    position: Position
    in_scope: bool
    importable: bool
    offered: bool
    trusted: bool
    cached: bool
    error: str | None
    elapsed_ms: float

    @property
    def hit(self) -> bool:
        """The true name was offered, in scope or with an import."""
        return self.in_scope or self.importable


@dataclass(frozen=True, slots=True)
class RepositoryResult:
    """What was asked in one repository, with and without the index."""

    with_index: tuple[Question, ...]
    without_index: tuple[Question, ...]
    functions: int
    forward_names: int


def measure(root: Path, name: str, wanted: int, seed: int, config: ToolConfig | None = None) -> RepositoryResult:
    """Ask at ``wanted`` positions of a repository (fewer if it has fewer), twice: with the index and without.

    Args:
        root: the repository; it is not changed.
        name: how the list calls it; part of the seed.
        wanted: number of positions.
        seed: of the choice of functions.
        config: of the tool; by default Jedi's environment is empty.
    """
    config = config or ToolConfig(python=bare_python())
    samples = draw_samples(root, name, wanted, seed)
    with working_copy(root) as copy:
        with copy.holding(_all_removed(samples)):
            index = MemberIndex.build(copy.root)
        with_index = _ask_all(JediTool(copy.root, config, index=index), copy, samples)
        without_index = _ask_all(JediTool(copy.root, config), copy, samples)
    forward_names = sum(sample.forward_names for sample in samples)
    return RepositoryResult(with_index, without_index, len(samples), forward_names)


def draw_samples(root: Path, name: str, wanted: int, seed: int) -> list[Sample]:
    """Functions in random order, each with all its positions, until there are enough positions."""
    tasks = collect_tasks(root, name, documented=False)
    random.Random(f"{seed}:{name}").shuffle(tasks)
    samples: list[Sample] = []
    for task in tasks:
        if wanted <= 0:
            break
        sample = _sample(root, task)
        if sample.asked:
            samples.append(replace(sample, asked=sample.asked[:wanted]))
            wanted -= len(sample.asked)
    return samples


def _sample(root: Path, task: Task) -> Sample:
    text = read_text(root / task.path) or ""
    tree = parse(text) or ast.Module([], [])
    function = next(node for node, site in functions_of(tree, text) if site.body_start == task.start)
    found = positions(tree, function, (task.start, task.end), Places(text))
    return Sample(task, text, found.asked, found.forward_names)


def _all_removed(samples: Sequence[Sample]) -> dict[str, str]:
    """The files of the samples without the body of any sampled function."""
    tasks = [sample.task for sample in samples]
    texts = {sample.task.path: sample.text for sample in samples}
    return {path: without_bodies([t for t in tasks if t.path == path], text) for path, text in texts.items()}


def _ask_all(tool: CompletionTool, copy: WorkingCopy, samples: Iterable[Sample]) -> tuple[Question, ...]:
    try:
        return tuple(question for sample in samples for question in _ask_sample(tool, copy, sample))
    finally:
        tool.close()


def _ask_sample(tool: CompletionTool, copy: WorkingCopy, sample: Sample) -> list[Question]:
    before, after = hole(sample.task, sample.text)
    opening = ToolQuery(copy.root, copy.root / sample.task.path, before, after, NameKind.NAME)
    with copy.holding({sample.task.path: sample.holed}):
        tool.prefetch(opening)
        tool.suggest(opening)
        return [_ask(tool, opening, sample, position) for position in sample.asked]


def _ask(tool: CompletionTool, opening: ToolQuery, sample: Sample, position: Position) -> Question:
    query = replace(opening, before=sample.text[: position.offset], kind=position.kind)
    started_s = perf_counter()
    answer = tool.suggest(query)
    return _judged(sample.task, position, answer, (perf_counter() - started_s) * 1000.0)


def _judged(task: Task, position: Position, answer: ToolAnswer, elapsed_ms: float) -> Question:
    return Question(
        task=task,
        position=position,
        in_scope=any(suggestion.name == position.name for suggestion in answer.suggestions),
        importable=position.name in answer.importable,
        offered=bool(answer.suggestions),
        trusted=answer.trusted,
        cached=answer.cached,
        error=answer.error,
        elapsed_ms=elapsed_ms,
    )


# --------------------------------------------------------------------------------------------- adding up


def summarize(results: Mapping[str, RepositoryResult]) -> dict[str, object]:
    """The report: ``pooled`` and ``repos.NAME``, each with its numbers and the same ``without_index``."""
    return {
        "pooled": _summary(list(results.values())),
        "repos": {name: _summary([result]) for name, result in results.items()},
    }


def _summary(results: Sequence[RepositoryResult]) -> dict[str, object]:
    with_index = [question for result in results for question in result.with_index]
    without_index = [question for result in results for question in result.without_index]
    return {
        **_numbers(with_index),
        "functions": sum(result.functions for result in results),
        "forward_names": sum(result.forward_names for result in results),
        "without_index": _numbers(without_index),
    }


def _numbers(questions: Sequence[Question]) -> dict[str, object]:
    attributes = [question for question in questions if question.position.kind is NameKind.ATTRIBUTE]
    names = [question for question in questions if question.position.kind is NameKind.NAME]
    elapsed_ms = sorted(question.elapsed_ms for question in questions)
    return {
        "attributes": len(attributes),
        "names": len(names),
        "attribute_recall": _share(attributes, lambda question: question.hit),
        "name_recall": _share(names, lambda question: question.hit),
        "name_recall_in_scope": _share(names, lambda question: question.in_scope),
        "wrong_list_share": _share(questions, _is_wrong),
        "attribute_wrong_list_share": _share(attributes, _is_wrong),
        "name_wrong_list_share": _share(names, _is_wrong),
        "trusted_share": _share(questions, lambda question: question.trusted),
        "trusted_wrong_share": _share(questions, lambda question: question.trusted and _is_wrong(question)),
        "error_share": _share(questions, lambda question: question.error is not None),
        "cache_hit_rate": _share(questions, lambda question: question.cached),
        "p50_ms": _percentile(elapsed_ms, 0.50),
        "p95_ms": _percentile(elapsed_ms, 0.95),
        "max_ms": _percentile(elapsed_ms, 1.0),
        "by_receiver": _by_receiver(attributes),
    }


def _is_wrong(question: Question) -> bool:
    """A list without the true name, which would force the model to write something else."""
    return question.offered and not question.hit


def _by_receiver(attributes: Sequence[Question]) -> dict[str, object]:
    receivers = sorted({question.position.receiver for question in attributes})
    grouped = {kind: [question for question in attributes if question.position.receiver is kind] for kind in receivers}
    return {
        kind.value: {"count": len(group), "recall": _share(group, lambda question: question.hit)}
        for kind, group in grouped.items()
    }


def _share(questions: Sequence[Question], holds: Callable[[Question], bool]) -> float | None:
    """None where nothing was asked."""
    return round(sum(map(holds, questions)) / len(questions), 4) if questions else None


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """The nearest rank."""
    return round(ordered[max(math.ceil(share * len(ordered)) - 1, 0)], 2) if ordered else None
