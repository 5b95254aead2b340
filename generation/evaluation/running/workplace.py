"""Where generating happens: a copy of a repository without the bodies that are asked for, and a model.

Knows nothing of records. Start reading at ``RepositoryCopy``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from generation import service
from generation.config import GeneratorConfig
from generation.evaluation.sources import KeptNames
from generation.evaluation.tasks import OpenHole, Task, open_hole, without_bodies
from generation.evaluation.working_copy import WorkingCopy, working_copy
from generation.interfaces import LanguageModel
from generation.source.files import SourceFile, read_source
from generation.source.functions import FunctionSite, list_functions

LoadModel = Callable[[GeneratorConfig], LanguageModel]


class LazyModel:
    """A model that is loaded when it is first needed, and dropped afterwards."""

    def __init__(self, load_model: LoadModel | None, config: GeneratorConfig) -> None:
        self._load_model, self._config = load_model or service.load_model, config
        self._model: LanguageModel | None = None

    def __enter__(self) -> LazyModel:
        return self

    def __exit__(self, *_: object) -> None:
        self._model = None

    def get(self) -> LanguageModel:
        """The model."""
        if self._model is None:
            self._model = self._load_model(self._config)
        return self._model


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task while its body is gone from the disk of the copy."""

    hole: OpenHole
    site: FunctionSite
    file: SourceFile


class RepositoryCopy:
    """One repository with its working copy, which is made when it is first needed."""

    def __init__(self, root: Path, tasks: Sequence[Task], out: Path) -> None:
        self.root, self.tasks = root, tasks
        self._out = out.absolute()
        self._stack = ExitStack()
        self._copy: WorkingCopy | None = None
        self._kept: KeptNames | None = None

    def __enter__(self) -> RepositoryCopy:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def copy(self) -> WorkingCopy:
        """The copy that sessions see."""
        if self._copy is None:
            self._copy = self._stack.enter_context(working_copy(self.root, self._out))
        return self._copy

    def session(self, config: GeneratorConfig, model: LanguageModel) -> service.Session:
        """A session whose index knows none of the bodies. What it caches goes with the copy or stays in the run."""
        tool = replace(config.tool, cache=self._out / "cache" / "jedi")
        with self.copy.holding(_all_removed(self.root, self.tasks)):
            return service.build_generator(
                replace(config, tool=tool), self.copy.root, model, self.copy.root.parent / "index"
            )

    @contextmanager
    def opened(self, task: Task) -> Iterator[OpenTask]:
        """While this is open, the task's body is nowhere in the copy."""
        self._kept = self._kept or KeptNames(self.root)
        hole = open_hole(task, read_source(self.root / task.path).text, self._kept)
        with self.copy.holding({task.path: hole.text}):
            yield OpenTask(hole, site_of(hole), read_source(self.copy.root / task.path))


def _all_removed(root: Path, tasks: Sequence[Task]) -> dict[str, str]:
    paths = {task.path for task in tasks}
    return {path: without_bodies([t for t in tasks if t.path == path], read_source(root / path).text) for path in paths}


def site_of(opened: OpenHole) -> FunctionSite:
    """The function whose body is the hole."""
    return next(site for site in list_functions(opened.text) if site.body_start == len(opened.before))
