"""Completions at a cursor: when to start one, when to keep it, when to stop it, and what of it is still true.

At most one generation writes. The latest request wins: those before it end as superseded, a change ends those it
overtakes. A generation reads its prompt while the typing pauses and writes when the pause is over. It is kept while the
user types what it says, also between requests; anything else stops it at once. Lives on the event loop; the model is
touched in the jobs it submits. Start reading at ``Completions.answer``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import Any

from pygls.exceptions import JsonRpcException

from lsp_server.completion_cache import CompletionCache, Place
from lsp_server.decode_thread import DecodeThread, Job
from lsp_server.rhythm import Rhythm
from lsp_server.settings import Settings
from lsp_server.writing import Completion, OnText, Request, Signals, read_ahead, write_completion

CONTENT_MODIFIED, SERVER_CANCELLED = -32801, -32802
_IDLE_S = 0.5  # behind a completion, before the next ones are prepared for
_ORPHAN_S = 1.0  # how long a generation goes on that nobody asks for


@dataclass(frozen=True, slots=True)
class Answer:
    """A completion as it is now.

    Attributes:
        completion: as it was made.
        text: what of it is still to come behind the cursor.
        typed: what of it was typed since.
        cached: it was there already.
    """

    completion: Completion
    text: str
    typed: str
    cached: bool


class _Generation:
    """One completion in the making."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.length = len(request.place.before)
        self.before, self.after = hash(request.place.before), hash(request.place.after)
        self.text = ""
        self.typed = ""  # what the user has typed of it
        self.listeners: list[Callable[[], None]] = []
        self.job: Job[Completion] | None = None
        self.signals = Signals()
        self.orphaned: asyncio.TimerHandle | None = None
        self.waiting = 0

    @property
    def writing(self) -> bool:
        """It is past the pause before it, and not at its end."""
        return self.running and self.signals.write.is_set()

    @property
    def running(self) -> bool:
        return self.job is not None and not self.job.result.done() and not self.job.stop.is_set()

    def goes_with(self, place: Place) -> bool:
        """Whether ``place`` is where this generation started, plus what it says; then it goes on from there."""
        typed = place.typed_since(self.length, self.before, self.after)
        if typed is None or not (self.text.startswith(typed) or typed.startswith(self.text)):
            return False
        self.typed = typed
        return True

    @property
    def is_contradicted(self) -> bool:
        return not (self.text.startswith(self.typed) or self.typed.startswith(self.text))

    def overtake(self) -> None:
        """Write nothing; what it is reading the next one can use."""
        self.signals.unwanted = True
        self.signals.write.set()
        if not self.signals.reading:
            self.cancel()

    def cancel(self) -> None:
        if self.job is not None:
            self.job.cancel()
        self.signals.write.set()


@dataclass(slots=True)
class _Document:
    """What is going on in one document."""

    rhythm: Rhythm = field(default_factory=Rhythm)
    generation: _Generation | None = None
    ended: asyncio.Future[int] | None = None  # resolved with an error code when the pending request is overtaken


class Completions:
    """Answers requests for completions.

    Args:
        thread: where the model runs.
        settings: the current ones.
    """

    def __init__(self, thread: DecodeThread, settings: Callable[[], Settings]) -> None:
        self._thread = thread
        self._settings = settings
        self._documents: dict[str, _Document] = {}
        self.cache: CompletionCache[Completion] = CompletionCache()
        self._ahead: Job[None] | None = None

    async def answer(self, request: Request, on_text: OnText | None = None) -> Answer:
        """The completion at a place.

        Args:
            request: what is asked for.
            on_text: is called with the whole text so far whenever there is more.

        Raises:
            JsonRpcException: a newer request or a change has overtaken this one.
        """
        document = self._documents.setdefault(request.place.uri, _Document())
        with _latest(document) as ended:
            if (found := self._known(request)) is not None:
                return found
            while True:
                generation = document.generation
                if generation is None or not self._keeps(generation, request):
                    self._stop(document)
                    generation = self._start(document, request)
                    await self._pause(document, generation, ended)
                answer = await self._outcome(generation, request.place, ended, on_text)
                if answer is not None:
                    return answer

    def read_ahead(self, request: Request) -> None:
        """Read the prompt of a place where somebody may soon type; all else the model is wanted for comes first."""
        if self.running:
            return
        if self._ahead is not None:
            self._ahead.cancel()
        self._ahead = self._thread.submit(partial(read_ahead, request, self._settings()), gives_way=True)

    def _prepare(self, request: Request) -> None:
        """Behind a completion: the place as it is now, unless the cursor has gone on to another."""
        if self._ahead is None or self._ahead.result.done():
            self.read_ahead(request)

    def changed(self, place_uri: str, text: tuple[str, str] | None) -> None:
        """A document changed; ``text`` is what stands around the end of the change.

        What runs goes on when the change is what it says, and stops otherwise.
        """
        document = self._documents.setdefault(place_uri, _Document())
        document.rhythm.note(time.monotonic())
        generation = document.generation
        if generation is None or text is None or not generation.goes_with(Place(place_uri, *text)):
            self._stop(document)
        elif generation.writing:
            self._abandon(generation)
        else:
            generation.overtake()
            document.generation = None
        _end(document, CONTENT_MODIFIED)

    def closed(self, uri: str) -> None:
        """A document was closed."""
        document = self._documents.pop(uri, None)
        if document is not None:
            self._stop(document)
            _end(document, CONTENT_MODIFIED)
        self.cache.forget(uri)

    def supersede(self, but: _Document | None = None) -> None:
        """Stop what runs elsewhere: somebody does one thing at a time, and waits for nothing they asked for before."""
        for document in self._documents.values():
            if document is not but and document.generation is not None:
                self._stop(document)
                _end(document, SERVER_CANCELLED)

    def stop(self) -> None:
        """Stop everything and forget what was made: the settings have changed."""
        for document in self._documents.values():
            self._stop(document)
            _end(document, SERVER_CANCELLED)
        self.cache.forget()

    @property
    def running(self) -> int:
        """How many generations are under way."""
        return sum(d.generation is not None and d.generation.running for d in self._documents.values())

    # ------------------------------------------------------------------------------------------ starting, keeping

    def _known(self, request: Request) -> Answer | None:
        found = self.cache.find(request.place, long=request.invoked)
        if found is None:
            return None
        completion, typed = found
        return Answer(completion, completion.text[len(typed) :], typed, cached=True)

    def _keeps(self, generation: _Generation, request: Request) -> bool:
        enough = generation.request.invoked or not request.invoked
        return enough and generation.writing and generation.goes_with(request.place)

    def _stop(self, document: _Document) -> None:
        if document.generation is not None:
            document.generation.cancel()
            document.generation = None

    def _abandon(self, generation: _Generation) -> None:
        """Nobody waits for it any more; it ends soon, unless somebody comes."""
        if generation.orphaned is None and not generation.waiting:
            generation.orphaned = asyncio.get_running_loop().call_later(_ORPHAN_S, generation.cancel)

    async def _pause(self, document: _Document, generation: _Generation, ended: asyncio.Future[int]) -> None:
        """Let a generation write when nothing is typed for a moment; at once when it was asked for."""
        if not generation.request.invoked:
            fixed_ms = self._settings().debounce_ms
            delay_s = document.rhythm.delay_s(time.monotonic()) if fixed_ms is None else fixed_ms / 1000
            try:
                await asyncio.wait([ended], timeout=delay_s)
            except asyncio.CancelledError:
                generation.cancel()
                raise
            _raise_if(ended)
        generation.signals.write.set()

    def _start(self, document: _Document, request: Request) -> _Generation:
        self.supersede(but=document)
        generation = _Generation(request)
        settings = self._settings()

        def show(text: str) -> None:
            generation.text = text
            if generation.is_contradicted:
                generation.cancel()
            for listener in generation.listeners:
                listener()

        def work(stop: Event) -> Completion:
            seen = partial(self._thread.call, show)
            return write_completion(request, settings, generation.signals, stop, seen)

        generation.job = self._thread.submit(work)
        generation.job.result.add_done_callback(lambda done: self._keep(generation, done))
        document.generation = generation
        return generation

    def _keep(self, generation: _Generation, done: asyncio.Future[Completion]) -> None:
        """Remember what came of a generation."""
        document = self._documents.get(generation.request.place.uri)
        if document is not None and document.generation is generation:
            document.generation = None
        stopped = generation.job is None or generation.job.stop.is_set()
        if not done.cancelled() and done.exception() is None and not stopped:
            self.cache.put(generation.request.place, done.result(), long=generation.request.invoked)
            done.get_loop().call_later(_IDLE_S, self._prepare, generation.request)

    # ------------------------------------------------------------------------------------------ waiting

    async def _outcome(
        self, generation: _Generation, place: Place, ended: asyncio.Future[int], on_text: OnText | None
    ) -> Answer | None:
        """What came of a generation for a place; None when it was stopped because it says something else."""
        assert generation.job is not None
        typed = place.before[generation.length :]

        def show() -> None:
            if on_text is not None and generation.text.startswith(typed) and len(generation.text) > len(typed):
                on_text(generation.text[len(typed) :])

        generation.listeners.append(show)
        generation.waiting += 1
        if generation.orphaned is not None:
            generation.orphaned.cancel()
            generation.orphaned = None
        show()
        try:
            either: list[asyncio.Future[Any]] = [generation.job.result, ended]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            generation.cancel()
            raise
        finally:
            generation.listeners.remove(show)
            generation.waiting -= 1
        if not generation.job.result.done():
            self._abandon(generation)
            _raise_if(ended)
        if generation.is_contradicted and not ended.done():
            return None
        return _outcome(generation.job, typed)


@contextmanager
def _latest(document: _Document) -> Iterator[asyncio.Future[int]]:
    """Be the request that counts in a document until another comes; the one before is superseded."""
    _end(document, SERVER_CANCELLED)
    document.ended = ended = asyncio.get_running_loop().create_future()
    try:
        yield ended
    finally:
        if document.ended is ended:
            document.ended = None


def _end(document: _Document, code: int) -> None:
    if document.ended is not None and not document.ended.done():
        document.ended.set_result(code)


def _raise_if(ended: asyncio.Future[int]) -> None:
    if ended.done():
        why = "the document changed" if ended.result() == CONTENT_MODIFIED else "a newer request came"
        raise JsonRpcException(why, ended.result())


def _outcome(job: Job[Completion], typed: str) -> Answer:
    if job.result.cancelled() or job.stop.is_set():
        raise JsonRpcException("the completion was stopped", SERVER_CANCELLED)
    completion = job.result.result()
    fits = completion.text.startswith(typed)
    return Answer(completion, completion.text[len(typed) :] if fits else "", typed, cached=False)
