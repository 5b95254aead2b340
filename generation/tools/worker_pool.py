"""Worker processes with deadlines: a question goes in, an answer or the word for what went wrong comes out.

Nothing here raises because a worker is slow, hangs, crashes or grows: it is waited for no longer than the caller
says, killed after ``kill_after_s``, and replaced. A second worker starts when the first has been late. Knows nothing of
what the questions mean. Start reading at ``WorkerPool``.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import psutil

from generation.config import ToolConfig
from generation.tools.environment import folders_of_jedi

_log = logging.getLogger(__name__)

Question = dict[str, Any]
Answer = dict[str, Any]

WORKER = Path(__file__).with_name("worker.py")
MOST_CRASHES = 3  # in a row; then no worker is started for a while
RETRY_S = 30.0  # that while; an editor runs for days
_DOWN = "Jedi does not run, and its names are missing"
_END_S = 5.0
_LISTEN_S = 1.0  # after the end; a process that the worker has started may hold its standard error open
_LAST_WORDS = 200  # characters


class Worker:
    """One process. Its answers arrive in a thread of their own, in the order of the questions."""

    def __init__(self, command: list[str], config: ToolConfig, on_end: Callable[[Worker, bool], None]) -> None:
        self.answered = 0
        self._config = config
        self._on_end = on_end
        self._lock = threading.Lock()
        self._pending: dict[int, tuple[Future[Answer], threading.Timer]] = {}
        self._ids = count()
        self._ended = False
        self._last_words = ""
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._reader = threading.Thread(target=self._read, name="jedi-answers", daemon=True)
        self._listener = threading.Thread(target=self._listen, name="jedi-errors", daemon=True)
        self._listener.start()
        self._reader.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def load(self) -> int:
        """Questions that wait for an answer."""
        return len(self._pending)

    @property
    def last_words(self) -> str:
        """What a process that ended by itself with an error said last; nothing of one that was killed."""
        return self._last_words if (self._process.returncode or 0) > 0 else ""

    def submit(self, question: Question) -> Future[Answer]:
        """Send a question; the future never holds an exception."""
        future: Future[Answer] = Future()
        timer = threading.Timer(self._config.kill_after_s, self.kill)
        timer.daemon = True
        with self._lock:
            if self._ended:
                future.set_result(self._crash())
                return future
            number = next(self._ids)
            self._pending[number] = (future, timer)
            timer.start()
            self._write(json.dumps({**question, "id": number}).encode() + b"\n")
        return future

    def kill(self) -> None:
        """End the process; pending questions are answered with ``crash``."""
        self._process.kill()

    def join(self) -> None:
        """Wait until the process and its thread have ended."""
        self._process.wait(_END_S)
        if threading.current_thread() is not self._reader:
            self._reader.join(_END_S)

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except OSError:
            self._process.kill()  # the reader answers everything that is pending

    def _read(self) -> None:
        assert self._process.stdout is not None and self._process.stdin is not None
        grown = False
        for line in self._process.stdout:
            if not line.endswith(b"\n"):  # it was killed within an answer
                break
            answer: Answer = json.loads(line)
            with self._lock:
                future, timer = self._pending.pop(answer.pop("id"))
                self.answered += 1
                idle = not self._pending
            timer.cancel()
            future.set_result(answer)
            if idle and self._is_too_large():
                grown = True
                break
        self._end(grown)

    def _listen(self) -> None:
        """Keep the last line of what goes to the standard error; nobody else reads it, and a full pipe would block."""
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for line in stream:
                self._last_words = line.decode(errors="replace").strip()[:_LAST_WORDS] or self._last_words

    def _crash(self) -> Answer:
        return {"error": _because("crash", self.last_words)}

    def _is_too_large(self) -> bool:
        try:
            return bool(psutil.Process(self.pid).memory_info().rss > self._config.memory_bytes)
        except psutil.Error:
            return False

    def _end(self, retired: bool) -> None:
        self._process.kill()
        self._process.wait(_END_S)
        self._listener.join(_LISTEN_S)
        with self._lock:
            self._ended = True
            pending, self._pending = list(self._pending.values()), {}
        for stream in (self._process.stdin, self._process.stdout):
            _close(stream)
        try:
            self._on_end(self, retired)
        finally:  # where no other process can be started, nobody is left waiting either
            for future, timer in pending:
                timer.cancel()
                future.set_result(self._crash())


def _close(stream: Any) -> None:
    with suppress(OSError):  # what was left in its buffer has no reader any more
        stream.close()


def _because(what: str, why: str) -> str:
    return f"{what}: {why}" if why else what


class WorkerPool:
    """Workers for one repository. The first starts at once, in the background."""

    def __init__(self, root: Path, python: Path | None, config: ToolConfig) -> None:
        words = (root, python or "", config.cache or "", "" if config.trusted else "confined")
        packages = folders_of_jedi(root, config.trusted)
        self._command = [sys.executable, "-I", str(WORKER), *map(str, words), *packages]
        self._config = config
        self._lock = threading.Lock()
        self._workers: list[Worker] = []
        self._crashes = 0
        self._crashed_s = 0.0
        self._last_words = ""
        self._closed = False
        with self._lock:
            self._start()

    @property
    def pids(self) -> list[int]:
        """Of the processes that run now."""
        return [worker.pid for worker in self._workers]

    @property
    def problem(self) -> str:
        """Why there are no answers for a while; empty while there are some."""
        if self._workers or self._crashes < MOST_CRASHES:
            return ""
        return _because(_DOWN, self._last_words)

    def submit(self, question: Question) -> Future[Answer]:
        """Send a question to the least loaded worker. The future holds an answer, or ``{"error": ...}``."""
        with self._lock:
            if not self._workers:
                self._start()
            worker = min(self._workers, key=lambda worker: worker.load, default=None)
        if worker is None:
            refused: Future[Answer] = Future()
            crashes = _because(f"{MOST_CRASHES} crashes in a row", self._last_words)
            refused.set_result({"error": "closed" if self._closed else crashes})
            return refused
        return worker.submit(question)

    def wait(self, future: Future[Answer], timeout_s: float) -> Answer:
        """The answer, or ``{"error": "timeout"}``; after that another worker stands by for the next question."""
        try:
            return future.result(max(0.0, timeout_s))
        except FutureTimeoutError:
            with self._lock:
                if len(self._workers) < self._config.workers:
                    self._start()
            return {"error": "timeout"}

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            self._closed = True
            workers = list(self._workers)
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.join()

    def _start(self) -> None:
        may_retry = time.monotonic() - self._crashed_s > RETRY_S
        if not self._closed and (self._crashes < MOST_CRASHES or may_retry):
            self._workers.append(Worker(self._command, self._config, self._ended))

    def _ended(self, worker: Worker, retired: bool) -> None:
        with self._lock:
            self._workers.remove(worker)
            self._crashes = 0 if retired or worker.answered else self._crashes + 1
            self._crashed_s = time.monotonic()
            self._last_words = worker.last_words
            if self._crashes == MOST_CRASHES and not self._closed:
                _log.warning(_because(_DOWN, self._last_words))
            if not self._workers:
                self._start()
