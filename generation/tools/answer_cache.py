"""Jedi's answers, kept until a file of the repository that they depend on changes.

An answer is found by everything its value can depend on inside the file (``AnswerKey``); everything outside is a list
of files the worker has read, which are looked at before an answer is reused. Knows nothing of Jedi and processes.
Start reading at ``AnswerCache``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from generation.tools.filtering import Facts, Found

MOST_ANSWERS = 1000  # of some 15 kB each; who edits makes new ones with every line, and old ones are rarely met again


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """What an answer inside one file depends on.

    Attributes:
        path: the file.
        around: hash of the text before and after the enclosing function.
        expression: the receiver, or "" for the names a file offers.
        relevant: the part of the function the expression's value can depend on.
    """

    path: Path
    around: int
    expression: str
    relevant: str


@dataclass(frozen=True, slots=True)
class JediAnswer:
    """Names with their kinds, in Jedi's order, and what the receiver was found to be."""

    found: Found
    facts: Facts


class AnswerCache:
    """Answers by key; thread-safe. ``epoch`` counts the changes seen in the repository."""

    def __init__(self) -> None:
        self.epoch = 0
        self._lock = threading.Lock()
        self._answers: dict[AnswerKey, JediAnswer] = {}
        self._stamps: dict[str, int] = {}

    def refresh(self) -> None:
        """Forget everything when a file that answers depend on, or a folder with one, has changed."""
        with self._lock:
            if any(_stamp(file) != stamp for file, stamp in self._stamps.items()):
                self.epoch += 1
                self._answers.clear()
                self._stamps.clear()

    def get(self, key: AnswerKey) -> JediAnswer | None:
        """The answer, when there is one."""
        with self._lock:
            answer = self._answers.pop(key, None)
            if answer is not None:
                self._answers[key] = answer  # used last comes last
            return answer

    def put(self, key: AnswerKey, answer: JediAnswer, files: Iterable[str], epoch: int) -> None:
        """Keep an answer that was asked for in ``epoch``; one from before a change is dropped."""
        with self._lock:
            if epoch != self.epoch:
                return
            for file in files:
                if file not in self._stamps:
                    self._stamps[file] = _stamp(file)
                    folder = file.rpartition(os.sep)[0]
                    self._stamps.setdefault(folder, _stamp(folder))
            while len(self._answers) >= MOST_ANSWERS:
                del self._answers[next(iter(self._answers))]
            self._answers[key] = answer


def _stamp(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - hundreds of these before every reuse
    except OSError:
        return -1
