"""One generation for a client: the loop runs here on a thread, its tool is on the other side of the wire.

Knows no network but two functions: one sends a message, the other gives the next one. Start reading at ``generate``.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TypeVar

from generation.errors import ConfigError, MemberwiseError
from generation.interfaces import LanguageModel
from generation.remote.wire import Answered, Asked, Failed, ImportAsked, ImportFound, Message, Question
from generation.service import fit_to_model
from generation.types import Finished, NameKind, Suggestion, ToolAnswer, ToolQuery

Reply = TypeVar("Reply")

_ANSWER_S = 90.0  # longer than any client waits for its tool
_MOST_TREE_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for, beside ranges that are the same on every server.

    Attributes:
        max_tokens: most that are written.
        prompt_characters: longest prompt.
        file_characters: most of the file around the hole.
        deadline_s: longest time.
    """

    max_tokens: int = 1024
    prompt_characters: int = 100_000
    file_characters: int = 2_000_000
    deadline_s: float = 600.0

    def check(self, asked: Asked) -> None:
        """Refuse what is too large, or out of any range.

        Raises:
            ConfigError: it is.
        """
        request, decoding, sampling = asked.request, asked.decoding, asked.sampling
        for name, value, least, most in (
            ("max_tokens", request.max_tokens, 0, self.max_tokens),
            ("characters of the prompt", len(request.prompt), 0, self.prompt_characters),
            ("characters of the file", len(request.before) + len(request.after), 0, self.file_characters),
            ("temperature", sampling.temperature, 0.0, 5.0),
            ("top_p", sampling.top_p, 0.001, 1.0),
            ("tree_tokens", decoding.tree_tokens, 1, _MOST_TREE_TOKENS),
            ("draft_tokens", decoding.draft_tokens, 0, _MOST_TREE_TOKENS),
        ):
            if not least <= value <= most:  # nor is NaN
                raise ConfigError(f"{name}: {value}; this server takes from {least} to {most}")


class WireTool:
    """The client's tool; implements ``CompletionTool``. Who reads the connection gives it what comes."""

    def __init__(self, before: str, send: Callable[[Message], None], gone: threading.Event) -> None:
        self._before = before
        self._send = send
        self._gone = gone
        self._numbers = count()
        self._answers: queue.Queue[Answered] = queue.Queue()
        self._imports: queue.Queue[ImportFound] = queue.Queue()  # waited for by another thread than answers
        self.asked = 0

    def receive(self, message: Answered | ImportFound) -> None:
        """What the client says."""
        if isinstance(message, Answered):
            self._answers.put(message)
        else:
            self._imports.put(message)

    def leave(self) -> None:
        """The client has gone; nobody waits for it any longer."""
        self._gone.set()
        self._answers.put(Answered(-1, ToolAnswer(error="the client has left")))
        self._imports.put(ImportFound("", None))

    def suggest(self, query: ToolQuery) -> ToolAnswer:
        """See ``CompletionTool``; a client that has gone has no answer."""
        number = next(self._numbers)
        self.asked += 1
        imports, text = self._around_before(query.before)
        self._send(Question(number, text, query.kind, imports))
        answered = self._wait(self._answers, lambda one: one.number == number)
        if answered is None:
            return ToolAnswer(error="the client did not answer")
        answer = answered.answer
        return replace(answer, importable=_Imports(self)) if query.kind is NameKind.NAME else answer

    def _around_before(self, text: str) -> tuple[str, str]:
        """What a question says in front of the request's ``before`` and behind it; the client has that."""
        start = text.index(self._before)
        return text[:start], text[start + len(self._before) :]

    def look_up(self, name: str) -> Suggestion | None:
        """What an import would make of a name in the client's file."""
        self._send(ImportAsked(name))
        found = self._wait(self._imports, lambda one: one.name == name)
        return found.suggestion if found else None

    def _wait(self, messages: queue.Queue[Reply], expected: Callable[[Reply], bool]) -> Reply | None:
        while not self._gone.is_set():
            try:
                message = messages.get(timeout=_ANSWER_S)
            except queue.Empty:
                return None
            if expected(message):
                return message
        return None

    def prefetch(self, query: ToolQuery) -> None:
        """The client has done so."""

    def close(self) -> None:
        """Nothing of it is here."""


class _Imports(Mapping[str, Suggestion]):
    """What the client's file could import; its repository is there, and a name is asked for when it is needed."""

    def __init__(self, tool: WireTool) -> None:
        self._tool = tool

    def __getitem__(self, name: str) -> Suggestion:
        found = self._tool.look_up(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        raise TypeError("only the client knows them all")

    def __len__(self) -> int:
        raise TypeError("only the client knows them all")


def generate(
    model: LanguageModel,
    asked: Asked,
    limits: Limits,
    tool: WireTool,
    send: Callable[[Message], None],
    gone: threading.Event,
) -> Finished | None:
    """Write one text, sending its events; the last of them, or None where it failed.

    Args:
        model: may be shared by several threads.
        asked: what the client wants, which ``limits`` allow.
        limits: of the server.
        tool: the client's.
        send: to the client.
        gone: set when the client has left.
    """
    from generation.decoding.drafts.drafting import drafter_for_request
    from generation.decoding.loop.generator import Generator

    try:
        decoding = fit_to_model(asked.decoding, model)
        request = replace(asked.request, root=Path("/"))
        drafter = drafter_for_request(model, request) if decoding.draft_tokens else None
        generator = Generator(model, tool, drafter, decoding, asked.sampling)
        deadline_s = min(limits.deadline_s, asked.deadline_s or limits.deadline_s)  # ours where theirs is NaN
        for event in generator.stream(request, gone, deadline_s):
            send(event)
            if isinstance(event, Finished):
                return event
    except MemberwiseError as error:
        send(Failed(str(error)))
    except Exception as error:  # noqa: BLE001 - one request must not end the replica
        send(Failed(f"{type(error).__name__}: {error}", refused=False))
    return None
