"""The one thread that touches the model.

pygls reads stdin through its thread pool, so nothing long may run there, and an ``async def`` handler must not block.
Work is queued here in order; a job that was cancelled before its turn is never started. Results come back through the
event loop. Start reading at ``DecodeThread.submit``.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
Work = Callable[[threading.Event], T]


class Job(Generic[T]):
    """Work that was handed in.

    Attributes:
        stop: set to end the work early; generation looks at it before every forward.
        result: on the event loop; cancelled when the job was stopped before its turn.
    """

    def __init__(self, work: Work[T], loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.stop = threading.Event()
        self.result: asyncio.Future[T] = loop.create_future()

    def cancel(self) -> None:
        """End the work as soon as it looks."""
        self.stop.set()


class DecodeThread:
    """Runs jobs one after the other. Made and used on the event loop ``loop``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str = "decode") -> None:
        self._loop = loop
        self._jobs: queue.SimpleQueue[Job[object] | None] = queue.SimpleQueue()
        self._running: Job[object] | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Work[T]) -> Job[T]:
        """Run ``work`` when its turn comes."""
        job = Job(work, self._loop)
        self._jobs.put(job)  # type: ignore[arg-type]  # a job of anything is run in the same way
        return job

    @property
    def busy(self) -> bool:
        """A job is running."""
        return self._running is not None

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Run ``function`` on the event loop; from inside a job."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the server is going
            self._loop.call_soon_threadsafe(function, *args)

    def close(self) -> None:
        """Stop what runs; the thread ends by itself."""
        if self._running is not None:
            self._running.cancel()
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._running = job
            if job.stop.is_set():
                self._running = None
                self.call(job.result.cancel)
                continue
            try:
                self.call(_resolve, job.result, job.work(job.stop), None)
            except BaseException as error:  # noqa: BLE001 - whatever went wrong belongs to the one who asked
                self.call(_resolve, job.result, None, error)
            self._running = None


def _resolve(future: asyncio.Future[object], value: object, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        future.exception()  # seen, so that nobody warns of it when the asker is gone
