"""A process that knows one repository and says what pylint reports on versions of its files.

Run as ``python -m generation.evaluation.validity.pylint_worker ROOT``; one JSON question a line comes in, one JSON
answer a line goes out. Every check runs in a fork of this process, so that a body cannot leave anything behind that
makes another body look right, while the syntax trees of the repository are parsed once. Packages installed beside
pylint are hidden: what is reported depends on the repository and the standard library alone. ``pylint_client`` is the
other end; start reading at ``main``.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import astroid
from astroid.context import _INFERENCE_CACHE  # there is no public way to empty it alone
from pylint.lint import PyLinter, Run
from pylint.reporters import CollectingReporter

from generation.evaluation.validity.pylint_protocol import SYMBOLS, Answer, Found, Question


def main(root: str) -> None:
    """Answer questions until the input ends."""
    questions, answers = sys.stdin, sys.stdout
    sys.stdout = sys.stderr
    os.chdir(root)
    linter = _start_linter()
    _hide_installed_packages(root)
    for line in questions:
        question: Question = json.loads(line)
        answer = _warm(linter, question) if question["warm"] else _check_in_fork(linter, question)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _hide_installed_packages(root: str) -> None:
    standard = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    inside = [path for path in sys.path if any(path in {home, f"{home}/lib-dynload"} for home in standard)]
    sys.path[:] = [root, *inside]


def _warm(linter: PyLinter, question: Question) -> Answer:
    found = _lint(linter, question["path"], question["text"])
    _forget(question["path"])
    return Answer(found=found, error=None)


def _check_in_fork(linter: PyLinter, question: Question) -> Answer:
    if not hasattr(os, "fork"):
        return _warm(linter, question)
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        _answer_and_exit(linter, question, sending)
    os.close(sending)
    with os.fdopen(receiving, "rb") as pipe:
        content = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) or not content:
        alarm = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
        return Answer(found=[], error="timeout" if alarm else "crash")
    return Answer(found=json.loads(content), error=None)


def _answer_and_exit(linter: PyLinter, question: Question, sending: int) -> None:
    """Never returns. The alarm's default action ends the process, also inside a long call."""
    try:
        signal.setitimer(signal.ITIMER_REAL, question["timeout_s"])
        _forget(question["path"])
        content = json.dumps(_lint(linter, question["path"], question["text"])).encode()
        with os.fdopen(sending, "wb") as pipe:
            pipe.write(content)
    finally:
        os._exit(0)


def _start_linter() -> PyLinter:
    """A linter that has imported all of itself; it is given nothing to look at yet."""
    options = [f"--rcfile={os.devnull}", "--disable=all", f"--enable={','.join(SYMBOLS)}", "--persistent=n"]
    options += ["--jobs=1", "--score=n", f"--source-roots={Path.cwd()}", "--from-stdin", "_nothing_.py"]
    with _stdin_of(""):
        return Run(options, reporter=CollectingReporter(), exit=False).linter


def _lint(linter: PyLinter, path: str, text: str) -> list[Found]:
    reporter = CollectingReporter()
    linter.set_reporter(reporter)
    with _stdin_of(_without_pragmas(text)):
        linter.check([path])
    return [
        Found(symbol=message.symbol, line=message.line, text=message.msg)
        for message in reporter.messages
        if message.symbol in SYMBOLS
    ]


def _without_pragmas(text: str) -> str:
    """A body must not be able to switch pylint off; every offset stays where it is."""
    return text.replace("pylint:", "pylint;")


@contextmanager
def _stdin_of(text: str) -> Iterator[None]:
    real, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(text.encode("utf-8", "replace")), encoding="utf-8")
    try:
        yield
    finally:
        sys.stdin = real


def _forget(path: str) -> None:
    """Drop what astroid knows of one file and what it inferred anywhere; all other syntax trees stay."""
    file = os.path.realpath(path)
    modules = astroid.MANAGER.astroid_cache
    for name in [name for name, module in modules.items() if _is_file(module.file, file)]:
        del modules[name]
    _INFERENCE_CACHE.clear()


def _is_file(module_file: str | None, file: str) -> bool:
    return module_file is not None and os.path.realpath(module_file) == file


if __name__ == "__main__":
    main(sys.argv[1])
