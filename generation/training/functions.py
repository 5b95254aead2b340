"""Functions of the corpus that are learned from: documented, with a body that does something, no two nearly alike.

Knows nothing of marks or tokens. Start reading at ``build_functions``.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from generation.evaluation.tasks import Task, collect_tasks, tasks_of
from generation.interfaces import silent
from generation.training.corpus import CorpusFile, Split, read_files
from generation.training.near_duplicates import NearDuplicates
from generation.training.storage import read_lines, writing

FUNCTIONS_NAME = "functions.jsonl"


@dataclass(frozen=True, slots=True)
class CorpusFunction:
    """A function of a file of the corpus; ``start`` and ``end`` are the span of its body after the docstring."""

    repo: str
    path: str
    split: Split
    qualname: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class FunctionCounts:
    """Functions per repository: taken, and left out as near duplicates of others or of the benchmark's."""

    kept: Mapping[str, int]
    duplicates: Mapping[str, int]


def build_functions(folder: Path, benchmark: Iterable[Path], report: Callable[[str], None] = silent) -> FunctionCounts:
    """Write ``functions.jsonl`` for the files that are in ``folder``, whole or not at all.

    Raises:
        ConfigError: there are no files, or the folder cannot be written.
    """
    seen = _benchmark_bodies(benchmark)
    kept, duplicates = Counter[str](), Counter[str]()
    with writing(folder / FUNCTIONS_NAME) as out:
        for file in read_files(folder):
            if not kept[file.repo] + duplicates[file.repo]:
                report(f"functions of {file.repo}")
            for task in sorted(tasks_of(file.text, file.path, file.repo), key=lambda task: task.start):
                if seen.seen(file.text[task.start : task.end]):
                    duplicates[file.repo] += 1
                else:
                    kept[file.repo] += 1
                    out.write(json.dumps(asdict(_function(file, task))) + "\n")
    return FunctionCounts(kept, duplicates)


def read_functions(folder: Path) -> Iterator[CorpusFunction]:
    """The functions of a corpus, file by file.

    Raises:
        ConfigError: the corpus is missing or damaged.
    """
    for record in read_lines(folder / FUNCTIONS_NAME):
        yield CorpusFunction(**{**record, "split": Split(record["split"])})


def shuffle_key(function: CorpusFunction) -> str:
    """Files in an order that is random, and the same everywhere."""
    return hashlib.sha256(f"{function.repo}/{function.path}".encode()).hexdigest()


def _benchmark_bodies(benchmark: Iterable[Path]) -> NearDuplicates:
    seen = NearDuplicates()
    for root in benchmark:
        texts: dict[str, str] = {}
        for task in collect_tasks(root, root.name, documented=False):
            if task.path not in texts:
                texts = {task.path: (root / task.path).read_bytes().decode("utf-8", "replace")}
            seen.seen(texts[task.path][task.start : task.end])
    return seen


def _function(file: CorpusFile, task: Task) -> CorpusFunction:
    return CorpusFunction(file.repo, file.path, file.split, task.qualname, task.start, task.end)
