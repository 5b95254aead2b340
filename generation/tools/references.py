"""What the names of finished code refer to, and what would have been offered where they stand.

For measuring: nothing here is asked while code is generated. Jedi sees the code as it is, unrepaired, and has all the
time it needs. Knows nothing of models. Start reading at ``References``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from generation.config import ToolConfig
from generation.errors import ToolError
from generation.tools.position import Question, question
from generation.tools.worker_pool import Answer, WorkerPool
from generation.types import NameKind

_KILL_AFTER_S = 120.0
_WAIT_S = _KILL_AFTER_S + 30.0  # by then a worker that hangs was killed, and another stands by
_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is defined: an absolute file, a line (0-based) and a column in it."""

    path: Path
    line: int
    column: int
    kind: str


@dataclass(frozen=True, slots=True)
class Reference:
    """A dotted expression, and where its last name is defined.

    Attributes:
        chain: ``self.app.config``.
        line: 0-based, of the last name.
        column: of the last name.
        definitions: those that have a file.
    """

    chain: str
    line: int
    column: int
    definitions: tuple[Place, ...]


class References:
    """Asks one Jedi about the files of one repository. A context manager; one thread at a time.

    Args:
        root: the repository.
        config: interpreter and cache folder; deadlines are this module's own.
    """

    def __init__(self, root: Path, config: ToolConfig) -> None:
        self._root = root.resolve()
        patient = ToolConfig(
            kill_after_s=_KILL_AFTER_S, workers=1, memory_bytes=config.memory_bytes, cache=config.cache
        )
        self._pool = WorkerPool(self._root, config.python, patient)

    def __enter__(self) -> References:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close()

    def of(self, path: str, text: str, span: tuple[int, int]) -> tuple[Reference, ...]:
        """The dotted expressions of a span; prefixes of longer ones are expressions too.

        Args:
            path: of the file, below the root.
            text: of the whole file.
            span: code points.

        Raises:
            ToolError: Jedi does not answer.
        """
        file = self._root / path
        asked: Question = question(file, text, span[0], NameKind.NAME)
        end = question(file, text, span[1], NameKind.NAME)
        answer = self._ask({**asked, "kind": "references", "end_line": end["line"], "end_column": end["column"]})
        return tuple(_reference(row, file) for row in answer["references"])

    def offered(self, path: str, text: str, offset: int) -> frozenset[str]:
        """What Jedi completes at an offset of a text.

        Raises:
            ToolError: Jedi does not answer.
        """
        answer = self._ask(question(self._root / path, text, offset, NameKind.NAME))
        return frozenset(name for name, _ in answer["names"])

    def _ask(self, asked: Question) -> Answer:
        error = ""
        for _ in range(_ATTEMPTS):
            answer = self._pool.wait(self._pool.submit({**asked, "epoch": 0}), _WAIT_S)
            if "error" not in answer:
                return answer
            error = answer["error"]
        place = f"{asked['path']}:{asked['line']}"
        raise ToolError(f"Jedi does not answer at {place} ({error}); try again on a quieter machine")


def _reference(row: Answer, file: Path) -> Reference:
    return Reference(row["chain"], row["line"] - 1, row["column"], tuple(_places(row["definitions"], file)))


def _places(rows: list[list[object]], file: Path) -> Iterator[Place]:
    """The worker shows Jedi the file under another name."""
    for path, line, column, kind in rows:
        if isinstance(path, str) and isinstance(line, int) and isinstance(column, int):
            found = Path(path)
            own = found.parent == file.parent and found.name == f"_memberwise_{file.stem}.py"
            yield Place(file if own else found, line - 1, column, str(kind))
