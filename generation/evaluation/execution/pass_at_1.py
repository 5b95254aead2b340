"""pass@1: generated bodies under the tests that run through their function.

In a copy of the repository, inside the sandbox: the whole suite runs once under coverage, which says which passing
tests run through which true body. A task counts when there are such tests, the true body passes them and a stub does
not. Then every generated body is put in its place and the same tests run. What came out is kept by content. Start
reading at ``pass_at_1``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from generation.evaluation.execution import traced_tests
from generation.evaluation.execution.sandbox import Limits, Sandbox
from generation.evaluation.execution.suites import suite_folders
from generation.evaluation.places import Places
from generation.evaluation.sources import digest, write_atomically
from generation.evaluation.tasks import TRUE
from generation.evaluation.validity.verdicts import Check
from generation.evaluation.working_copy import WorkingCopy, working_copy

_SUITE = Limits(wall_s=1800.0, cpu_s=3600, memory_bytes=8_000_000_000)
_MOST_TESTS = 40  # for one body; the first by name
_TRACER = Path(traced_tests.__file__)
_TIME_OVER = frozenset({None, 124})  # of the sandbox, and of ``timeout`` in it


@dataclass(frozen=True, slots=True)
class Trial:
    """Whether a body passes; ``tests`` is how many were asked."""

    passed: bool
    tests: int


def pass_at_1(
    checks: Mapping[Path, Sequence[Check]],
    tests: Mapping[Path, Path],
    cache: Path,
    *,
    libraries: Sequence[Path] = (),
    limits: Limits | None = None,
    done: Callable[[object], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[tuple[str, str], Trial]:
    """Results by task and row, those of the true bodies included; tasks that cannot be judged by tests are not there.

    Args:
        checks: bodies in their files, by the root of the repository, the true ones under ``TRUE``.
        tests: folders with tests of repositories that do not carry any.
        cache: a folder.
        libraries: folders that the tests import from, besides their repository.
        limits: of one body's tests.
        done: is told of every body.
        say: is given a line for people about every repository with tests.

    Raises:
        ConfigError: there is no sandbox.
    """
    cache.mkdir(parents=True, exist_ok=True)
    found: dict[tuple[str, str], Trial] = {}
    for root, listed in checks.items():
        with working_copy(root, cache) as copy:
            if root in tests:
                shutil.copytree(tests[root], copy.root / "tests")
            if suite_folders(copy.root):
                repository = _Repository(copy, cache, limits or Limits(), libraries)
                trials = repository.judge(listed, done)
                found.update(trials)
                if say is not None:
                    judged, all_of_them = ({key[0] for key in trials}, {check.task for check in listed})
                    say(f"{root.name}: tests judge {len(judged)} of {len(all_of_them)} tasks{repository.trouble}")
    return found


class _Repository:
    """A copy with tests, and the sandbox around it."""

    def __init__(self, copy: WorkingCopy, cache: Path, limits: Limits, libraries: Sequence[Path]) -> None:
        self._copy, self._cache, self._limits = copy, cache, limits
        self._scratch = copy.root.parent / "scratch"
        self._scratch.mkdir()
        self._sandbox = Sandbox(copy.root, [_TRACER], libraries, self._scratch)
        self._content = f"{digest(copy.root)} {sys.version} {[library.name for library in libraries]}"
        self.trouble = ""

    def judge(self, checks: Sequence[Check], done: Callable[[object], None] | None) -> dict[tuple[str, str], Trial]:
        """Results of the tasks that tests can judge."""
        covering = self._covering([check for check in checks if check.config == TRUE])
        found: dict[tuple[str, str], Trial] = {}
        for true in (check for check in checks if check.config == TRUE):
            tests = covering.get(true.task, [])[:_MOST_TESTS]
            if tests and self._passes(true.path, true.text, tests) and not self._passes(true.path, true.stubbed, tests):
                own = [check for check in checks if check.task == true.task]
                for check in own:
                    found[check.task, check.config] = Trial(self._passes(check.path, check.text, tests), len(tests))
                    if done is not None:
                        done(check)
        return found

    def _covering(self, true: Sequence[Check]) -> dict[str, list[str]]:
        """The tests that run through each true body, by task."""
        spans: dict[str, list[tuple[int, int]]] = {}
        order: dict[str, list[str]] = {}
        for check in true:
            spans.setdefault(check.path, []).append(_lines(check))
            order.setdefault(check.path, []).append(check.task)
        folders = suite_folders(self._copy.root)
        kept = self._cache / f"{_key(self._content, json.dumps([folders, spans]))}.json"
        ran = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else self._trace(folders, spans)
        if any(map(any, ran.values())):
            write_atomically(kept, json.dumps(ran))
        return {task: tests for path in ran for task, tests in zip(order[path], ran[path], strict=True)}

    def _trace(self, folders: Sequence[str], spans: Mapping[str, object]) -> dict[str, list[list[str]]]:
        question, answer = self._scratch / "question.json", self._scratch / "answer.json"
        question.write_text(json.dumps({"tests": folders, "spans": spans}), encoding="utf-8")
        outcome = self._sandbox.python([str(_TRACER), str(question), str(answer)], _SUITE)
        ran: dict[str, list[list[str]]] = json.loads(answer.read_text(encoding="utf-8")) if answer.exists() else {}
        if not any(map(any, ran.values())):
            self.trouble = "; running them gave:\n" + outcome.output.strip()[-600:]
        return ran

    def _passes(self, path: str, text: str, tests: Sequence[str]) -> bool:
        kept = self._cache / f"{_key(self._content, path, text, *tests)}.json"
        if kept.exists():
            return bool(json.loads(kept.read_text(encoding="utf-8")) == 0)
        with self._copy.holding({path: text}):
            arguments = ["-m", "pytest", "-x", *traced_tests.OPTIONS, *tests]
            code = self._sandbox.python(arguments, self._limits).code
        if code not in _TIME_OVER:  # on a quieter machine the tests may come to their end
            write_atomically(kept, json.dumps(code))
        return code == 0


def _lines(check: Check) -> tuple[int, int]:
    """First and last line of a body in its file."""
    places = Places(check.text)
    start = check.span[1] - len(check.body)
    return places.line_of(start), places.line_of(max(check.span[1] - 1, start))


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
