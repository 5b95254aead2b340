"""One completion, on the decode thread: read the prompt, wait until it is wanted, write.

What decides when one starts and whether it is still wanted is in ``completions``. Knows no protocol. Start reading at
``write_completion``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

from generation.errors import TargetError
from generation.interfaces import silent
from generation.service import Session
from generation.tools.cursor import CursorSite, find_cursor
from generation.types import (
    Extent,
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationStats,
    ImportNeeded,
    Started,
    TextDelta,
    ToolCalled,
)
from lsp_server.completion_cache import Place
from lsp_server.settings import Settings

_LOOK_S = 0.02  # how often somebody who waits looks whether to stop

OnText = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Completion:
    """What was generated at a place.

    Attributes:
        text: what follows the cursor.
        typed: the start of a name that stood before the cursor already.
        calls: where the tool was asked; offsets count from the start of ``typed``, and from the text without it.
        imports: what has to be imported for it.
        stats: its cost.
        reason: why there is no text, for the user; empty when there is.
    """

    text: str
    typed: str = ""
    calls: tuple[ToolCalled, ...] = ()
    imports: tuple[ImportNeeded, ...] = ()
    stats: GenerationStats = field(default_factory=GenerationStats)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a completion.

    Attributes:
        place: the cursor.
        path: the file, real or not.
        session: the repository.
        invoked: the user asked for it.
    """

    place: Place
    path: Path
    session: Session
    invoked: bool


class Signals:
    """How a completion is told what is wanted of it; set from any thread.

    Attributes:
        write: the pause is over, or nothing is to be written.
        unwanted: nothing is to be written. What is being read is read to its end, as the next prompt starts like it.
        reading: the prompt is being read.
    """

    def __init__(self) -> None:
        self.write = Event()
        self.unwanted = False
        self.reading = False


def write_completion(
    request: Request, settings: Settings, signals: Signals, stop: Event, show: OnText, *, waited_for: bool = True
) -> Completion:
    """Generate; runs on the thread that may touch the model.

    Args:
        request: what is asked for.
        settings: as they were then.
        signals: whether to write.
        stop: ends it at once.
        show: is called with the text so far.
        waited_for: somebody waits for it.
    """
    signals.reading = True
    place = request.place
    try:
        site = find_cursor(place.before, place.after, invoked=request.invoked)
    except TargetError as error:
        return Completion("", reason=str(error))
    if settings.inline in ("line", "block") and not request.invoked:
        site = _with_extent(site, Extent(settings.inline))
    tokens = settings.line_tokens if site.extent is Extent.LINE else settings.block_tokens
    events = request.session.complete(
        site,
        request.path,
        max_tokens=tokens,
        cancel=stop,
        deadline_s=settings.deadline_ms / 1000,
        waited_for=waited_for,
    )
    return _collect(_paused(events, signals, stop), site, show)


def read_ahead(request: Request, settings: Settings, stop: Event) -> None:
    """Read what a completion would have to read, and write nothing."""
    signals = Signals()
    signals.unwanted = True
    signals.write.set()
    write_completion(request, settings, signals, stop, silent, waited_for=False)


def _paused(events: Iterator[GenerationEvent], signals: Signals, stop: Event) -> Iterator[GenerationEvent]:
    """The events of a generation, which reads its prompt at once and waits with all else until it is wanted."""
    for event in events:
        yield event
        if isinstance(event, Started):
            signals.reading = False
            while not signals.write.wait(_LOOK_S) and not stop.is_set():
                pass
            if signals.unwanted:
                stop.set()


def _with_extent(site: CursorSite, extent: Extent) -> CursorSite:
    """The user's choice of extent; the middle of a line stays a line."""
    middle = site.after.partition("\n")[0].strip()
    return site if middle else replace(site, extent=extent)


def _collect(events: Iterator[GenerationEvent], site: CursorSite, show: OnText) -> Completion:
    calls, text, finished = list[ToolCalled](), "", None
    for event in events:
        match event:
            case TextDelta():
                text += event.text
                if len(text) > len(site.prefix):
                    show(site.lead + text[len(site.prefix) :])
            case ToolCalled():
                calls.append(replace(event, offset=event.offset + len(site.lead)))
            case Finished():
                finished = event
    assert finished is not None
    written = finished.text[len(site.prefix) :]
    return Completion(
        site.lead + written if written else "",
        site.prefix,
        tuple(calls),
        finished.imports,
        finished.stats,
        "" if written else _why_empty(finished, text),
    )


def _why_empty(finished: Finished, text: str) -> str:
    if finished.reason is FinishReason.DEADLINE:
        return "the model was not ready in time"
    if text.strip():
        return "what the model wrote stands there already or is not complete"
    return "the model has nothing to add here"
