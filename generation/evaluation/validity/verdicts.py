"""What a generated body is worth in its file: empty or not, and what pylint reports on the function's lines.

Knows nothing of how the body came about. Start reading at ``Check`` (what is asked), ``Verdict`` (what is said) and
``judge_all`` (how).
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import json
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from generation.evaluation.places import Places
from generation.evaluation.sources import digest, parse, write_atomically
from generation.evaluation.tasks import does_something
from generation.evaluation.validity.pylint_client import PylintProcess
from generation.evaluation.validity.pylint_protocol import SYMBOLS, Answer, Found

INVALID = frozenset({"syntax-error", "no-member", "undefined-variable"})
UNKNOWN = frozenset({"no-member", "undefined-variable"})
WORKERS = 2


@dataclass(frozen=True, slots=True)
class Check:
    """A whole file with a body in it.

    Attributes:
        task: id of the task.
        config: who wrote the body.
        path: of the file, below the root of its repository.
        text: the file with the body.
        span: from the start of the function's header to the end of its body, as code points into ``text``.
        body: as it stands in ``text``.
        stubbed: the file with a stub for the body; read first, so that the check itself is fast.
    """

    task: str
    config: str
    path: str
    text: str
    span: tuple[int, int]
    body: str
    stubbed: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with a body. ``error`` says why pylint could not tell; such a body does not count as valid."""

    empty: bool
    found: tuple[Found, ...]
    error: str | None = None

    @property
    def symbols(self) -> frozenset[str]:
        """Pylint's names of what was found."""
        return frozenset(found["symbol"] for found in self.found)

    @property
    def valid(self) -> bool:
        """As SVR counts: does something, parses, and every name and member is known."""
        return not self.empty and self.error is None and self.symbols.isdisjoint(INVALID)

    @property
    def strictly_valid(self) -> bool:
        """As SVR-strict counts: nothing at all was found."""
        return self.valid and not self.found

    @property
    def has_unknown_name(self) -> bool:
        """Uses a member or a name that does not exist."""
        return not self.symbols.isdisjoint(UNKNOWN)


def is_empty(body: str) -> bool:
    """Whether a body does nothing; one that does not parse is not empty but wrong."""
    lines = textwrap.indent(textwrap.dedent(body), "    ")
    if not any(line.strip() and not line.lstrip().startswith("#") for line in lines.splitlines()):
        return True
    tree = parse(f"async def _():\n{lines}\n")
    function = tree.body[0] if tree else None
    return isinstance(function, ast.AsyncFunctionDef) and not does_something(function.body)


def judge_all(
    checks: Mapping[Path, Sequence[Check]], cache: Path, *, done: Callable[[Check], None] | None = None
) -> dict[Check, Verdict]:
    """Judge bodies, two repositories at a time; what pylint says is kept in ``cache`` by content.

    Args:
        checks: by the root of their repository.
        cache: a folder.
        done: is told of every check that has been made, from any thread.

    Raises:
        MissingExtraError: pylint is not installed.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(WORKERS) as pool:
        jobs = [pool.submit(_answers, root, listed, cache, done) for root, listed in checks.items()]
        answers = {check: answer for job in jobs for check, answer in job.result().items()}
    return {check: _verdict(check, answer) for check, answer in answers.items()}


def _answers(
    root: Path, checks: Sequence[Check], cache: Path, done: Callable[[Check], None] | None
) -> dict[Check, Answer]:
    """What pylint says of the files of one repository, file by file."""
    repository = digest(root)
    answers: dict[Check, Answer] = {}
    with PylintProcess(root) as pylint:
        for (path, stubbed), group in groupby(sorted(checks, key=_file_of), key=_file_of):
            known = {check: cache / f"{_content_hash(repository, check)}.json" for check in group}
            if not all(map(Path.exists, known.values())):
                pylint.warm(path, stubbed)
            for check, kept in known.items():
                answers[check] = _load(kept) or pylint.check(path, check.text)
                _save(kept, answers[check])
                if done is not None:
                    done(check)
    return answers


def _file_of(check: Check) -> tuple[str, str]:
    return check.path, check.stubbed


def _verdict(check: Check, answer: Answer) -> Verdict:
    places = Places(check.text)
    lines = range(places.line_of(check.span[0]), places.line_of(max(check.span[1] - 1, check.span[0])) + 1)
    found = _inside(answer["found"], lines)
    return Verdict(is_empty(check.body), tuple(found), answer["error"])


def _inside(found: Iterable[Found], lines: range) -> list[Found]:
    """What is reported on the function's lines; a syntax error may be noticed behind them."""
    return [message for message in found if message["line"] in lines or message["symbol"] == "syntax-error"]


def _content_hash(repository: str, check: Check) -> str:
    version = importlib.metadata.version("pylint") + importlib.metadata.version("astroid") + sys.version
    parts = [version, *SYMBOLS, repository, check.path, check.text]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _load(path: Path) -> Answer | None:
    try:
        answer: Answer = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return answer


def _save(path: Path, answer: Answer) -> None:
    """A timeout is not kept: on a quieter machine the answer may come."""
    if answer["error"] is None and not path.exists():
        write_atomically(path, json.dumps(answer))
