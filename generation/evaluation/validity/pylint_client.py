"""The caller's end of ``pylint_worker``: a process per repository, with a deadline for every question.

Knows nothing of tasks and bodies. Start reading at ``PylintProcess``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

from generation.evaluation.validity.pylint_protocol import Answer, Question

CHECK_TIMEOUT_S = 60.0
_START_TIMEOUT_S = 180.0  # the first look at a repository parses what it imports


class PylintProcess:
    """Pylint on versions of one repository's files. Starts at the first question, and again after it died."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> PylintProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def warm(self, path: str, text: str) -> None:
        """Let the process read what a file imports, so that later checks of its versions are fast."""
        self._ask(Question(path=path, text=text, timeout_s=_START_TIMEOUT_S, warm=True), _START_TIMEOUT_S)

    def check(self, path: str, text: str, timeout_s: float = CHECK_TIMEOUT_S) -> Answer:
        """What pylint reports when the file at ``path`` holds ``text``."""
        question = Question(path=path, text=text, timeout_s=timeout_s, warm=False)
        return self._ask(question, timeout_s + _START_TIMEOUT_S)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _ask(self, question: Question, timeout_s: float) -> Answer:
        process = self._process = self._process or self._start()
        timed_out = threading.Event()
        timer = threading.Timer(timeout_s, _end, [process, timed_out])
        timer.start()
        try:
            line = _exchange(process, json.dumps(question))
        finally:
            timer.cancel()
        if line:
            answer: Answer = json.loads(line)
            return answer
        self.close()
        return Answer(found=[], error="timeout" if timed_out.is_set() else "crash")

    def _start(self) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        command = [sys.executable, "-m", "generation.evaluation.validity.pylint_worker", str(self._root)]
        return subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, encoding="utf-8"
        )


def _end(process: subprocess.Popen[str], timed_out: threading.Event) -> None:
    timed_out.set()
    process.kill()


def _exchange(process: subprocess.Popen[str], line: str) -> str:
    """The answer to a line; empty when the process is gone."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return process.stdout.readline()
    except BrokenPipeError:
        return ""
