"""The one thread that touches the model.

pygls reads stdin through its thread pool, so nothing long may run there, and an ``async def`` handler must not block.
Work is queued here in order; a job that was cancelled before its turn is never started. Results come back through the
event loop of the server that asked: servers that share a process share the worker. Start reading at
``DecodeThread.submit``.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Work = Callable[[threading.Event], T]


class Job(Generic[T]):
    """Work that was handed in.

    Attributes:
        stop: set to end the work early; generation looks at it before every forward.
        result: on the event loop; cancelled when the job was stopped before its turn.
    """

    def __init__(self, work: Work[T], loop: asyncio.AbstractEventLoop, stop: threading.Event | None = None) -> None:
        self.work = work
        self.loop = loop
        self.stop = stop or threading.Event()
        self.result: asyncio.Future[T] = loop.create_future()

    def cancel(self) -> None:
        """End the work as soon as it looks."""
        self.stop.set()

    def run(self) -> None:
        """Do the work, on the worker's thread."""
        if self.stop.is_set():
            _call(self.loop, self.result.cancel)
            return
        try:
            _call(self.loop, _resolve, self.result, self.work(self.stop), None)
        except BaseException as error:  # noqa: BLE001 - whatever went wrong belongs to the one who asked
            _call(self.loop, _resolve, self.result, None, error)


class _UntilAnother(threading.Event):
    """Is set, too, as soon as other work waits."""

    def __init__(self, jobs: queue.SimpleQueue[Job[Any]]) -> None:
        super().__init__()
        self._jobs = jobs

    def is_set(self) -> bool:
        return super().is_set() or not self._jobs.empty()


class Worker:
    """A thread that runs jobs one after the other, for as long as the process lives."""

    def __init__(self) -> None:
        self.jobs: queue.SimpleQueue[Job[Any]] = queue.SimpleQueue()
        self.running: Job[Any] | None = None
        threading.Thread(target=self._run, name="decode", daemon=True).start()

    def _run(self) -> None:
        while True:
            self.running = self.jobs.get()
            self.running.run()
            self.running = None


class DecodeThread:
    """One server's access to the worker.

    Args:
        loop: where results are wanted.
        worker: shared with other servers, or one of its own.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, worker: Worker | None = None) -> None:
        self._loop = loop
        self._worker = worker or Worker()
        self._jobs: set[Job[Any]] = set()

    def submit(self, work: Work[T], *, gives_way: bool = False) -> Job[T]:
        """Run ``work`` when its turn comes; work that gives way is stopped as soon as any other waits."""
        job = Job(work, self._loop, _UntilAnother(self._worker.jobs) if gives_way else None)
        self._jobs.add(job)
        job.result.add_done_callback(lambda _: self._jobs.discard(job))
        self._worker.jobs.put(job)
        return job

    @property
    def busy(self) -> bool:
        """A job of this server is running."""
        return self._worker.running in self._jobs

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Run ``function`` on the event loop; from inside a job."""
        _call(self._loop, function, *args)

    def close(self) -> None:
        """Stop everything that was submitted."""
        for job in tuple(self._jobs):
            job.cancel()


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: object) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: the server is going
        loop.call_soon_threadsafe(function, *args)


def _resolve(future: asyncio.Future[object], value: object, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        future.exception()  # seen, so that nobody warns of it when the asker is gone
