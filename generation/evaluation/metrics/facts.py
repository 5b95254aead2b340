"""What is known of a task before anything is generated: the dependencies of its true body, counted in both ways.

Jedi is asked once; the answers are kept by content, and nothing where it does not answer. Start reading at ``gather``.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from generation.config import ToolConfig
from generation.errors import ToolError
from generation.evaluation.metrics.dependencies import Dependency, dependencies
from generation.evaluation.metrics.published import mark_names, marked_names
from generation.evaluation.sources import digest, write_atomically
from generation.evaluation.tasks import Task
from generation.source.files import read_source
from generation.source.functions import list_functions
from generation.tools.references import References

_FORMAT = "facts 3"
_WORKERS = 2


@dataclass(frozen=True, slots=True)
class Facts:
    """Dependencies of a true body.

    Attributes:
        places: where they stand, as ``metrics.dependencies`` says.
        published: as the published evaluation finds them.
        error: why Jedi could not tell; such a task has no dependencies here, and counts in no metric of them.
    """

    places: tuple[Dependency, ...]
    published: frozenset[str]
    error: str | None = None

    @property
    def dependencies(self) -> frozenset[str]:
        """The expressions, each once."""
        return frozenset(place.chain for place in self.places)


def gather(
    tasks: Mapping[Path, Sequence[Task]], cache: Path, config: ToolConfig, *, done: Callable[[Task], None] | None = None
) -> dict[str, Facts]:
    """Facts by task id, two repositories at a time.

    Args:
        tasks: by the root of their repository.
        cache: a folder.
        config: Jedi's interpreter.
        done: is told of every task, from any thread.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_WORKERS) as pool:
        jobs = [pool.submit(_of_repository, root, listed, cache, config, done) for root, listed in tasks.items()]
        return {task_id: facts for job in jobs for task_id, facts in job.result().items()}


def _of_repository(
    root: Path, tasks: Sequence[Task], cache: Path, config: ToolConfig, done: Callable[[Task], None] | None
) -> dict[str, Facts]:
    content = digest(root)
    files = {task: cache / f"{_key(content, task)}.json" for task in tasks}
    if all(map(Path.exists, files.values())):
        return {task.id: _load(file) for task, file in files.items()}
    found = {}
    with References(root, config) as references:
        for task, file in files.items():
            found[task.id] = _load(file) if file.exists() else _asked(references, root.resolve(), task, file)
            if done is not None:
                done(task)
    return found


def _asked(references: References, root: Path, task: Task, file: Path) -> Facts:
    """What Jedi says, which is kept; that it does not answer is not: on a quieter machine it may."""
    try:
        content = _ask(references, root, task)
    except ToolError as error:
        return Facts((), frozenset(), str(error))
    write_atomically(file, content)
    return _load(file)


def _ask(references: References, root: Path, task: Task) -> str:
    text = read_source(root / task.path).text
    site = next(site for site in list_functions(text) if site.body_start == task.start)
    span = (task.start, task.end)
    own = dependencies(references, root, task.path, text, site.header_start, span)
    marked = mark_names(references, task.path, text, span)
    published = marked_names(marked, text[site.header_start : site.header_end])
    return json.dumps({"places": [[one.chain, one.offset] for one in own], "published": sorted(published)})


def _load(file: Path) -> Facts:
    content = json.loads(file.read_text(encoding="utf-8"))
    return Facts(tuple(Dependency(*place) for place in content["places"]), frozenset(content["published"]))


def _key(content: str, task: Task) -> str:
    return hashlib.sha256("\0".join((_FORMAT, sys.version, content, task.id, task.sha256)).encode()).hexdigest()
