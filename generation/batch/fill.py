"""Filling one function: attempts until one has nothing wrong with it, and the best of them.

The first attempt is greedy, the others are sampled with seeds that follow from the settings, so a function is filled
in the same way whenever it is done. Start reading at ``fill``.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from generation.batch.records import BatchRecord, failed, written
from generation.batch.targets import Target
from generation.batch.tree import Tree, sha256
from generation.candidates import RankedCandidate
from generation.service import Session, apply
from generation.source.files import SourceFile, read_source, write_source
from generation.source.functions import FunctionSite, find_function

_TEST_OUTPUT_CHARACTERS = 2000
_LOOK_S = 0.5  # between two looks whether a test is still wanted


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
        """Less is better: no body that can be used, then a failed test, then problems."""
        return (
            math.inf if self.candidate.unusable else 0.0,
            int(self.test_failed is not None),
            len(self.candidate.problems),
        )


def fill(
    session: Session,
    tree: Tree,
    target: Target,
    settings: str,
    options: FillOptions,
    stop: threading.Event | None = None,
) -> BatchRecord:
    """Write the body of one function. Whatever goes wrong with it is in the record.

    Args:
        session: generates in ``tree``.
        tree: the copy of the repository.
        target: the function.
        settings: hash of them, for the record.
        options: how.
        stop: ends it when set; the record is worth nothing then.
    """
    stop = stop or threading.Event()
    started_s = time.perf_counter()
    try:
        file = read_source(tree.root / target.path)
        site = find_function(file.text, target.function)
        source = sha256(read_source(tree.original / target.path))
        attempts: list[_Attempt] = []
        while len(attempts) <= options.retries and not any(not any(one.faults) for one in attempts):
            if attempts and stop.is_set():
                break
            attempts.append(_attempt(session, tree, site, file, len(attempts), options, stop))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is one function's, and the night is long
        return failed(target, settings, f"{type(error).__name__}: {error}", time.perf_counter() - started_s)
    best = min(attempts, key=lambda one: one.faults)
    seconds = time.perf_counter() - started_s
    if best.candidate.unusable:
        return failed(target, settings, f"{best.candidate.unusable}, in {len(attempts)} attempts", seconds)
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
    session: Session,
    tree: Tree,
    site: FunctionSite,
    file: SourceFile,
    number: int,
    options: FillOptions,
    stop: threading.Event,
) -> _Attempt:
    attempt = _Attempt(number, session.candidate(site, file, number, stop, options.limit_s), None)
    if tree.trial is None or not options.test_command or attempt.candidate.unusable:
        return attempt
    text = apply(file, site, attempt.candidate.finished, session.first_party)
    with tree.testing:
        if stop.is_set():
            return attempt
        failure = _test(tree.trial, file.path.relative_to(tree.root), text, options, stop)
    return replace(attempt, test_failed=failure)


def _test(trial: Path, path: Path, text: str, options: FillOptions, stop: threading.Event) -> str | None:
    """The end of what the test command printed if it failed; the file is as before afterwards."""
    assert options.test_command is not None
    before = read_source(trial / path)
    write_source(before, text)
    try:
        code, output = _run(options.test_command, trial, options.test_limit_s, stop)
    except subprocess.TimeoutExpired:
        return f"the test command took over {options.test_limit_s:.0f} s"
    finally:
        write_source(read_source(before.path), before.text)
    return None if code == 0 else output.decode(errors="replace")[-_TEST_OUTPUT_CHARACTERS:]


def _run(command: str, folder: Path, limit_s: float, stop: threading.Event) -> tuple[int, bytes]:
    """Exit code and output of a command line; what it has started does not outlive the wait for it."""
    with subprocess.Popen(  # noqa: S602 - it is the user's own command line
        command,
        shell=True,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            output = _output(process, limit_s, stop)
        finally:  # the shell's children hold the pipe open, and would write into the next test's files
            _kill_group(process)
    return process.returncode, output


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if not hasattr(os, "killpg"):  # Windows
        process.kill()
        return
    with suppress(ProcessLookupError, PermissionError):  # macOS has the second word for a group of zombies
        os.killpg(process.pid, signal.SIGKILL)


def _output(process: subprocess.Popen[bytes], limit_s: float, stop: threading.Event) -> bytes:
    until_s = time.monotonic() + limit_s
    while True:
        try:
            return process.communicate(timeout=min(_LOOK_S, limit_s))[0]
        except subprocess.TimeoutExpired:  # what was read is kept for the next call
            if stop.is_set() or time.monotonic() >= until_s:
                raise
