"""Writing the body of a function into an open document: generate, check, and turn the result into one edit.

Runs on the decode thread. Start reading at ``write_body``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from lsprotocol import types

from generation.candidates import RankedCandidate, sampling_of
from generation.errors import TargetError
from generation.service import Session
from generation.source.files import SourceFile
from generation.source.functions import FunctionSite, find_again, find_at, find_function, replace_body
from generation.source.imports import import_edits
from generation.tools.checks import Problem
from generation.types import Finished, FinishReason, TextDelta, ToolCalled
from lsp_server.documents import Snapshot
from lsp_server.extensions import GenerateBodyArgument


@dataclass(frozen=True, slots=True)
class Body:
    """One generated body.

    Attributes:
        site: the function it is for, in the text it was made for.
        finished: the text, its imports and its cost.
        calls: where the tool was asked; offsets into the text.
        problems: what is wrong with it in its file.
    """

    site: FunctionSite
    finished: Finished
    calls: tuple[ToolCalled, ...]
    problems: tuple[Problem, ...]


def fitting_site(text: str, wanted: GenerateBodyArgument) -> FunctionSite:
    """The function that is meant.

    Raises:
        TargetError: there is none, it is an overload, or it has a body and ``replace`` is not set.
    """
    return _checked(find_function(text, wanted.qualname) if wanted.qualname else find_at(text, wanted.line), wanted)


def _checked(site: FunctionSite, wanted: GenerateBodyArgument) -> FunctionSite:
    if site.is_overload:
        raise TargetError(f"{site.qualname} in line {site.line + 1} is an overload; name the implementation")
    if not site.is_stub and not wanted.replace:
        raise TargetError(f"{site.qualname} has a body already")
    return site


def write_body(
    session: Session,
    snapshot: Snapshot,
    path: Path,
    wanted: GenerateBodyArgument,
    stop: Event,
    show: Callable[[str], None],
) -> list[Body]:
    """Generate as many bodies as are wanted, best first; what was stopped is not among them.

    Args:
        session: the repository.
        snapshot: the document.
        path: its path in the repository.
        wanted: which function, how many.
        stop: ends it.
        show: is called with the text so far.

    Raises:
        TargetError: there is no such function.
    """
    text = snapshot.text[snapshot.mark :]
    site = fitting_site(text, wanted)
    file = SourceFile(path, path, text, "utf-8", snapshot.newline, 0o644, b"")
    bodies: list[Body] = []
    for number in range(wanted.candidates):
        body = _one(session, file, site, number, stop, show)
        if body is None:
            return []
        if body.finished.text.strip() and body.finished.text not in {other.finished.text for other in bodies}:
            bodies.append(body)
    return sorted(bodies, key=lambda body: RankedCandidate(body.finished, body.calls, body.problems).doubt)


def _one(
    session: Session, file: SourceFile, site: FunctionSite, number: int, stop: Event, show: Callable[[str], None]
) -> Body | None:
    text, calls = "", list[ToolCalled]()
    sampling = sampling_of(session.config.sampling, number)
    for event in session.stream(site, file, seed=sampling.seed, cancel=stop, sampling=sampling):
        if isinstance(event, TextDelta):
            text += event.text
            show(text)
        elif isinstance(event, ToolCalled):
            calls.append(event)
        elif isinstance(event, Finished) and event.reason is not FinishReason.CANCELLED:
            return Body(site, event, tuple(calls), session.problems(site, file, event))
    return None


def edits_of(body: Body, snapshot: Snapshot, wanted: GenerateBodyArgument, session: Session) -> list[types.TextEdit]:
    """The body and its imports as edits of ``snapshot``, which may be newer than what the body was made for.

    Raises:
        TargetError: the function has changed meanwhile.
    """
    text = snapshot.text[snapshot.mark :]
    site = _checked(find_again(text, body.site), wanted)
    if site.body_indent != body.site.body_indent:
        raise TargetError(f"{site.qualname} has changed meanwhile")
    new = replace_body(text, site, body.finished.text, snapshot.newline)
    written = new[site.body_start : len(new) - (len(text) - site.body_end)]
    mark = snapshot.mark
    span = snapshot.lines.range(site.body_start + mark, site.body_end + mark)
    imports = import_edits(text, body.finished.imports, session.first_party)
    added = [types.TextEdit(snapshot.lines.range(e.start + mark, e.end + mark), e.replacement) for e in imports]
    return [*added, types.TextEdit(span, written)]
