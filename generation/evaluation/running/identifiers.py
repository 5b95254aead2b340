"""Identifier recall: at every repository name of a true body, is it what would be written there?

Teacher-forced: the true body up to the name stands before it. Asked are the model by itself, the row with its tool, and
the tool. Start reading at ``measure``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from generation import service
from generation.config import Trigger
from generation.errors import CapacityError
from generation.evaluation.metrics.dependencies import Dependency
from generation.evaluation.metrics.facts import Facts
from generation.evaluation.running.plan import Plan
from generation.evaluation.running.workplace import LazyModel, LoadModel, OpenTask, RepositoryCopy
from generation.evaluation.sources import write_atomically
from generation.evaluation.tasks import Task
from generation.source.files import read_source
from generation.types import NameKind, ToolQuery

if TYPE_CHECKING:
    from generation.decoding.loop.forcing import NextName

_FORMAT = "identifiers 1"


@dataclass(frozen=True, slots=True)
class Identifier:
    """A repository name of a true body.

    Attributes:
        free: it is what the model writes without the tool; None where the row does not tell.
        chosen: it is what the row writes; None in rows without a tool.
        offered: the tool has it, in scope or with an import; None in rows without a tool.
        wrong_list: the tool has names, and not this one.
    """

    name: str
    free: bool | None
    chosen: bool | None
    offered: bool | None
    wrong_list: bool | None


def measure(
    plan: Plan,
    facts: Mapping[str, Facts],
    most: int,
    load_model: LoadModel | None = None,
    *,
    done: Callable[[object], None] | None = None,
) -> dict[tuple[str, str], tuple[Identifier, ...]]:
    """Identifiers by task and row; what was measured before is kept.

    Args:
        plan: tasks and rows.
        facts: of the tasks.
        most: at most so many names of each task, the first ones.
        load_model: as for ``runner.generate``.
        done: is told of every task in every row.
    """
    cache = plan.out / "cache" / "identifiers"
    cache.mkdir(parents=True, exist_ok=True)
    found: dict[tuple[str, str], tuple[Identifier, ...]] = {}
    for config, rows in plan.by_weights():
        with LazyModel(load_model, config) as model:
            for name, tasks in plan.tasks.items():
                asked = {task: facts[task.id].places[:most] for task in tasks}
                with RepositoryCopy(plan.roots[name], tasks, plan.out) as repository:
                    for row in rows:
                        for task, identifiers in _measured(plan, repository, row, asked, model, cache):
                            found[task.id, row] = identifiers
                            if done is not None:
                                done(task)
    return found


def _measured(
    plan: Plan,
    repository: RepositoryCopy,
    row: str,
    asked: Mapping[Task, Sequence[Dependency]],
    model: LazyModel,
    cache: Path,
) -> Iterator[tuple[Task, tuple[Identifier, ...]]]:
    with ExitStack() as stack:
        session: service.Session | None = None
        for task, places in asked.items():
            kept = cache / f"{_key(plan.key(task, row), places)}.json"
            if not kept.exists():
                session = session or stack.enter_context(repository.session(plan.configs[row], model.get()))
                identifiers = _ask(session, repository, task, places)
                write_atomically(kept, json.dumps([asdict(each) for each in identifiers]))
            yield task, tuple(Identifier(**each) for each in json.loads(kept.read_text(encoding="utf-8")))


def _ask(
    session: service.Session, repository: RepositoryCopy, task: Task, places: Sequence[Dependency]
) -> list[Identifier]:
    true = read_source(repository.root / task.path).text[task.start : task.end]
    with repository.opened(task) as opened:
        return [_identifier(session, opened, true[: place.offset], place.name) for place in places]


def _identifier(session: service.Session, opened: OpenTask, written: str, name: str) -> Identifier:
    try:
        found = session.next_name(opened.site, opened.file, written)
    except CapacityError:
        return Identifier(name, None, None, None, None)
    has_tool = session.config.decoding.trigger is not Trigger.OFF
    offered = wrong = None
    if has_tool:
        kind = NameKind.ATTRIBUTE if written.rstrip().endswith(".") else NameKind.NAME
        before, after = opened.hole.before + written, opened.hole.after
        answer = session.tool.suggest(ToolQuery(session.root, opened.file.path.absolute(), before, after, kind))
        offered = name in answer.importable or any(one.name == name for one in answer.suggestions)
        wrong = bool(answer.suggestions) and not offered
    return Identifier(name, _is_free(found, name), found.name == name if has_tool else None, offered, wrong)


def _is_free(found: NextName, name: str) -> bool | None:
    """Where the tool was not asked, what was written is the model's own."""
    if found.call is None:
        return found.name == name
    return None if found.call.model_choice is None else found.call.model_choice == name


def _key(key: tuple[str, str, str], places: Sequence[Dependency]) -> str:
    parts = (_FORMAT, *key, *(f"{place.chain}@{place.offset}" for place in places))
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
