"""A copy of a repository with the bodies of some functions taken out: what ``memberwise batch`` is tried on.

Start reading at ``empty``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from generation.errors import ConfigError
from generation.evaluation.sources import read_text
from generation.evaluation.tasks import Task, collect_tasks, is_inside, sample, without_bodies
from generation.source.files import read_source, write_source


def empty(root: Path, into: Path, count: int, seed: int = 0) -> list[Task]:
    """Copy a repository and replace the bodies of ``count`` documented functions by stubs; which they are.

    What only the bodies used (imports, private helpers) goes with them. Functions inside a chosen one are not chosen.

    Raises:
        ConfigError: ``into`` exists, or the repository has too few functions to choose from.
    """
    if into.exists():
        raise ConfigError(f"{into} exists already; name a new folder")
    tasks = collect_tasks(root, root.name)
    outermost = [task for task in tasks if not any(is_inside(task, other) for other in tasks)]
    if len(outermost) < count:
        raise ConfigError(f"{root.name} has {len(outermost)} documented functions to empty, not {count}")
    chosen = sample(outermost, root.name, count, seed)
    shutil.copytree(root, into, symlinks=True, ignore=shutil.ignore_patterns(".git", "__pycache__"))
    for path in sorted({task.path for task in chosen}):
        text = read_text(root / path)
        assert text is not None  # its tasks were found in it
        theirs = [task for task in chosen if task.path == path]
        write_source(read_source(into / path), without_bodies(theirs, text))
    return chosen
