"""What a run does: which functions of which repositories, in which rows, and where the records go.

Knows nothing of models. Start reading at ``Plan`` and ``draw_tasks``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby, zip_longest
from pathlib import Path

from generation.config import GeneratorConfig
from generation.evaluation.running.records import RecordKey
from generation.evaluation.tasks import Task, collect_tasks, sample


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run.

    Attributes:
        roots: the repositories, by name.
        tasks: what is generated, by repository.
        configs: how, by the name that rows of the report have.
        out: the folder of records, results and reports.
        weights: hash of model and adapter by row; other weights make other records.
    """

    roots: Mapping[str, Path]
    tasks: Mapping[str, Sequence[Task]]
    configs: Mapping[str, GeneratorConfig]
    out: Path
    weights: Mapping[str, str] = field(default_factory=dict)

    @property
    def generations(self) -> int:
        """How many bodies there are to write."""
        return len(self.configs) * sum(map(len, self.tasks.values()))

    @property
    def by_root(self) -> dict[Path, Sequence[Task]]:
        """The tasks, by the root of their repository."""
        return {self.roots[name]: tasks for name, tasks in self.tasks.items()}

    def key(self, task: Task, row: str) -> RecordKey:
        """Under which a record is known."""
        return task.id, row, self.settings(row)

    def settings(self, row: str) -> str:
        """A hash of what the text depends on besides the task; what only changes the speed stays out."""
        config = self.configs[row]
        return _settings(config, self.weights.get(row) or f"{config.model} {config.adapter}")

    def by_weights(self) -> Iterator[tuple[GeneratorConfig, list[str]]]:
        """Rows that share a model and an adapter, with one of their configurations."""
        weights = {row: (config.model, config.adapter or "") for row, config in self.configs.items()}
        for _, rows in groupby(sorted(weights, key=weights.__getitem__), key=weights.__getitem__):
            listed = list(rows)
            yield self.configs[listed[0]], listed


@cache
def _settings(config: GeneratorConfig, weights: str) -> str:
    parts = (weights, config.dtype, config.max_tokens, config.decoding, config.sampling, config.tool.deadline_s)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def draw_tasks(
    roots: Mapping[str, Path],
    total: int | None,
    per_repository: int | None,
    seed: int,
    known: Mapping[str, Sequence[Task]] | None = None,
) -> dict[str, list[Task]]:
    """Tasks of the repositories: as many of each as of any other, as far as they have them.

    Args:
        roots: the repositories, by name.
        total: at most so many in all.
        per_repository: at most so many of each.
        seed: of the choice; a larger number only adds tasks.
        known: choose from these; from all tasks of the repositories when None.
    """
    found = known if known is not None else {name: collect_tasks(root, name) for name, root in roots.items()}
    counts = {name: min(len(tasks), per_repository or len(tasks)) for name, tasks in found.items()}
    quotas = _quotas(counts, sum(counts.values()) if total is None else total)
    return {name: sample(tasks, name, quotas[name], seed) for name, tasks in found.items() if quotas[name]}


def _quotas(counts: Mapping[str, int], total: int) -> dict[str, int]:
    """One in turn to everyone who has some left."""
    turns = [name for turn in zip_longest(*([name] * count for name, count in counts.items())) for name in turn if name]
    given = turns[:total]
    return {name: given.count(name) for name in counts}
