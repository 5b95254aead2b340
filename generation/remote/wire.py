"""What crosses the wire: frozen dataclasses as JSON and back, checked by their annotations.

A message is ``{"kind": ..., "value": ...}``. Nothing is executed or looked up by name, so what a stranger sends is data
or a ``ValueError``. Start reading at ``encode`` and ``decode``.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from generation.config import DecodingConfig, SamplingConfig
from generation.types import (
    Finished,
    GenerationEvent,
    GenerationRequest,
    NameKind,
    Started,
    Suggestion,
    TextDelta,
    ToolAnswer,
    ToolCalled,
)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client wants: a request whose paths are relative to its repository, which the server never sees."""

    request: GenerationRequest
    decoding: DecodingConfig
    sampling: SamplingConfig
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question to the tool: ``text`` is what stands between the request's ``before`` and the name.

    ``imports`` stand in front of ``before``: lines that names chosen so far will bring.
    """

    number: int
    text: str
    kind: NameKind
    imports: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """The tool's answer to a question, without what could be imported, which is asked for by name."""

    number: int
    answer: ToolAnswer


@dataclass(frozen=True, slots=True)
class ImportAsked:
    """Which import would make a name valid in the file of the request."""

    name: str


@dataclass(frozen=True, slots=True)
class ImportFound:
    """The suggestion for a name that was asked for; None where no import makes it valid."""

    name: str
    suggestion: Suggestion | None


@dataclass(frozen=True, slots=True)
class Failed:
    """Why nothing (more) comes. ``refused`` is the request's fault or the server's limit, not the connection's."""

    message: str
    refused: bool = True


Message = Asked | Question | Answered | ImportAsked | ImportFound | Failed | GenerationEvent
_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        Asked,
        Question,
        Answered,
        ImportAsked,
        ImportFound,
        Failed,
        Started,
        TextDelta,
        ToolCalled,
        Finished,
    )
}


def pack(message: Message) -> str:
    """A message as text."""
    return json.dumps({"kind": type(message).__name__, "value": asdict(message)}, default=_plain)


def unpack(text: str | bytes) -> Message:
    """The message in a text.

    Raises:
        ValueError: it is none.
    """
    content = json.loads(text)
    if not isinstance(content, dict) or content.get("kind") not in _KINDS:
        raise ValueError("not a message")
    message: Message = decode(_KINDS[content["kind"]], content.get("value"))
    return message


def decode(kind: Any, value: Any) -> Any:
    """A value of an annotated kind from JSON.

    Raises:
        ValueError: it does not fit.
    """
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return None if value is None and type(None) in parts else decode(_not_none(parts), value)
    if is_dataclass(kind):
        return _decode_dataclass(kind, value)
    if origin in (tuple, Sequence) and isinstance(value, list):
        return tuple(decode(parts[0], one) for one in value)
    if origin is Mapping and isinstance(value, dict):
        return {str(name): decode(parts[1], one) for name, one in value.items()}
    return _decode_plain(kind, value)


def _decode_plain(kind: Any, value: Any) -> Any:
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    if isinstance(kind, type) and type(value) is kind:
        return value
    raise ValueError(f"{str(value)[:40]!r} is no {kind}")


def _decode_dataclass(kind: Any, value: Any) -> Any:
    hints = typing.get_type_hints(kind)
    if not isinstance(value, dict) or not value.keys() <= {one.name for one in fields(kind)}:
        raise ValueError(f"not the fields of {kind.__name__}")
    try:
        return kind(**{name: decode(hints[name], one) for name, one in value.items()})
    except TypeError as error:
        raise ValueError(f"not the fields of {kind.__name__}: {error}") from error


def _not_none(parts: Sequence[Any]) -> Any:
    return next(part for part in parts if part is not type(None))


def _plain(value: object) -> object:
    if isinstance(value, PurePosixPath | Path):
        return str(value)
    raise TypeError(type(value).__name__)
