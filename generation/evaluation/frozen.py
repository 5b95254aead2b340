"""A choice of tasks that is kept in a file: ids, spans and hashes, none of the text they are about.

A benchmark is only the same benchmark while its tasks are the same; a change of the rules that choose them shows as a
difference here. Start reading at ``freeze`` and ``thaw``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from generation.errors import ConfigError
from generation.evaluation.sources import read_text, write_atomically
from generation.evaluation.tasks import Task


def freeze(tasks: Mapping[str, Sequence[Task]], path: Path) -> None:
    """Write tasks to a file, one line of JSON each."""
    write_atomically(path, "".join(json.dumps(asdict(task)) + "\n" for listed in tasks.values() for task in listed))


def thaw(path: Path, roots: Mapping[str, Path]) -> dict[str, list[Task]]:
    """The tasks of a file, by repository; those of other repositories than ``roots`` are left out.

    Raises:
        ConfigError: the file cannot be read, or a body is not what it was when the tasks were frozen.
    """
    tasks: dict[str, list[Task]] = {}
    for task in _read(path):
        if task.repo in roots:
            tasks.setdefault(task.repo, []).append(task)
    changed = [task.id for name, listed in tasks.items() for task in listed if not _is_unchanged(task, roots[name])]
    if changed:
        raise ConfigError(f"{path}: {len(changed)} tasks are not what they were, the first is {changed[0]}")
    return tasks


def differences(path: Path, tasks: Mapping[str, Sequence[Task]]) -> list[str]:
    """What distinguishes a frozen file from the tasks that would be drawn now; empty when nothing does."""
    frozen = {task.id: task for task in _read(path)}
    drawn = {task.id: task for listed in tasks.values() for task in listed}
    gone = [f"no longer a task: {name}" for name in frozen if name not in drawn]
    new = [f"not in the file: {name}" for name in drawn if name not in frozen]
    changed = [f"changed: {name}" for name in frozen if name in drawn and frozen[name] != drawn[name]]
    return gone + new + changed


def _read(path: Path) -> list[Task]:
    try:
        return [Task(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"cannot read tasks from {path}: {error}") from error


def _is_unchanged(task: Task, root: Path) -> bool:
    text = read_text(root / task.path)
    body = "" if text is None else text[task.start : task.end]
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest() == task.sha256
