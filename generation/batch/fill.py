"""Filling one function: attempts until one has nothing wrong with it, and the best of them.

The first attempt is greedy, the others are sampled with seeds that follow from the settings, so a function is filled
in the same way whenever it is done. Start reading at ``fill``.
"""

from __future__ import annotations

import math
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from generation.batch.records import BatchRecord, failed, written
from generation.batch.targets import Target
from generation.batch.tree import Tree, sha256
from generation.service import RankedCandidate, Session, apply
from generation.source.files import SourceFile, read_source, write_source
from generation.source.functions import FunctionSite, find_function

_TEST_OUTPUT_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class FillOptions:
    """How a function is filled.

    Attributes:
        retries: attempts after the first, made while something is wrong.
        limit_s: longest time for one attempt.
        test_command: run by the shell in the repository with the body in place; it must exit with 0.
        test_limit_s: longest time for it.
    """

    retries: int = 2
    limit_s: float = 120.0
    test_command: str | None = None
    test_limit_s: float = 600.0


@dataclass(frozen=True, slots=True)
class _Attempt:
    number: int
    candidate: RankedCandidate
    test_failed: str | None

    @property
    def faults(self) -> tuple[float, int, int]:
        """Less is better: no body, then a failed test, then problems."""
        empty = not self.candidate.finished.text.strip()
        return (math.inf if empty else 0.0, int(self.test_failed is not None), len(self.candidate.problems))


def fill(session: Session, tree: Tree, target: Target, settings: str, options: FillOptions) -> BatchRecord:
    """Write the body of one function. Whatever goes wrong with it is in the record."""
    started_s = time.perf_counter()
    try:
        file = read_source(tree.root / target.path)
        site = find_function(file.text, target.function)
        source = sha256(read_source(tree.original / target.path))
        attempts: list[_Attempt] = []
        while len(attempts) <= options.retries and not any(not any(one.faults) for one in attempts):
            attempts.append(_attempt(session, tree, site, file, len(attempts), options))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is one function's, and the night is long
        return failed(target, settings, f"{type(error).__name__}: {error}", time.perf_counter() - started_s)
    best = min(attempts, key=lambda one: one.faults)
    seconds = time.perf_counter() - started_s
    if not best.candidate.finished.text.strip():
        reason = best.candidate.finished.reason.value
        return failed(target, settings, f"nothing was generated in {len(attempts)} attempts ({reason})", seconds)
    return written(
        target,
        settings,
        best.candidate,
        test_failed=best.test_failed,
        attempt=best.number,
        attempts=len(attempts),
        source_sha256=source,
        seconds=round(seconds, 3),
    )


def _attempt(
    session: Session, tree: Tree, site: FunctionSite, file: SourceFile, number: int, options: FillOptions
) -> _Attempt:
    candidate = session.candidate(site, file, number, options.limit_s)
    failure = None
    if tree.trial is not None and options.test_command and candidate.finished.text.strip():
        text = apply(file, site, candidate.finished, session.first_party)
        with tree.testing:
            failure = _test(tree.trial, file.path.relative_to(tree.root), text, options)
    return _Attempt(number, candidate, failure)


def _test(trial: Path, path: Path, text: str, options: FillOptions) -> str | None:
    """The end of what the test command printed if it failed; the file is as before afterwards."""
    assert options.test_command is not None
    before = read_source(trial / path)
    write_source(before, text)
    try:
        done = subprocess.run(  # noqa: S602 - it is the user's own command line
            options.test_command,
            shell=True,
            cwd=trial,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=options.test_limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"the test command took over {options.test_limit_s:.0f} s"
    finally:
        write_source(read_source(before.path), before.text)
    return None if done.returncode == 0 else done.stdout.decode(errors="replace")[-_TEST_OUTPUT_CHARACTERS:]
