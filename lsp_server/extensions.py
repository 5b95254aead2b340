"""What this server speaks beyond the protocol: method names, commands, and the shape of their payloads.

``docs/lsp-extensions.md`` describes every one of them, and a test holds the two together. A client may ignore them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from pygls.exceptions import JsonRpcInvalidParams

from lsp_server.settings import camel

# Requests of the client
STREAM_INLINE_COMPLETION = "memberwise/streamInlineCompletion"
EXPLAIN = "memberwise/explain"
STATUS = "memberwise/status"
STATISTICS = "memberwise/statistics"

# Notifications of the client
DID_MOVE_CURSOR = "memberwise/didMoveCursor"
DID_SHOW_COMPLETION = "memberwise/didShowCompletion"
DID_ACCEPT_COMPLETION = "memberwise/didAcceptCompletion"
DID_PARTIALLY_ACCEPT_COMPLETION = "memberwise/didPartiallyAcceptCompletion"

# Notifications of the server
DID_CHANGE_STATUS = "memberwise/didChangeStatus"

# Commands, run by workspace/executeCommand
ACCEPT_COMPLETION = "memberwise.acceptCompletion"
GENERATE_BODY = "memberwise.generateBody"

METHODS = (
    STREAM_INLINE_COMPLETION,
    EXPLAIN,
    STATUS,
    STATISTICS,
    DID_MOVE_CURSOR,
    DID_SHOW_COMPLETION,
    DID_ACCEPT_COMPLETION,
    DID_PARTIALLY_ACCEPT_COMPLETION,
    DID_CHANGE_STATUS,
)
COMMANDS = (ACCEPT_COMPLETION, GENERATE_BODY)


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """Params of ``memberwise/didChangeStatus`` and result of ``memberwise/status``."""

    busy: bool
    kind: str  # loading, ready, empty, paused, error
    message: str
    percent: int | None = None  # of what is loading, where that can be told


@dataclass(frozen=True, slots=True)
class ShownParams:
    """Params of ``memberwise/didShowCompletion`` and ``memberwise/didAcceptCompletion``."""

    id: str


@dataclass(frozen=True, slots=True)
class PartlyAcceptedParams:
    """Params of ``memberwise/didPartiallyAcceptCompletion``; the length counts in the position encoding."""

    id: str
    accepted_length: int


@dataclass(frozen=True, slots=True)
class GenerateBodyArgument:
    """The argument of ``memberwise.generateBody``.

    Attributes:
        uri: of the document.
        qualname: of the function; or else ``line``.
        line: 0-based, inside the function.
        candidates: how many to write; with more than one nothing is applied.
        apply: false returns the edit and leaves applying it to the client.
        replace: write a body that is there already anew.
        partial_result_token: where the text so far is sent to, as ``$/progress``.
    """

    uri: str
    qualname: str = ""
    line: int = -1
    candidates: int = 1
    apply: bool = True
    replace: bool = False
    partial_result_token: str | int | None = None


PAYLOADS = (ServerStatus, ShownParams, PartlyAcceptedParams, GenerateBodyArgument)

P = TypeVar("P")


def read_payload(kind: type[P], params: object) -> P:
    """A payload from what the client sent.

    Raises:
        JsonRpcInvalidParams: it is no object, lacks a field, or a field is of the wrong kind.
    """
    if not isinstance(params, Mapping):
        raise JsonRpcInvalidParams(f"{kind.__name__} must be an object")
    values = {field.name: params[key] for field in fields(kind) if (key := camel(field.name)) in params}  # type: ignore[arg-type]
    try:
        found = kind(**values)
    except TypeError as error:
        raise JsonRpcInvalidParams(str(error).replace(f"{kind.__name__}.__init__()", kind.__name__)) from error
    for field in fields(kind):  # type: ignore[arg-type]
        if not _fits(str(field.type), getattr(found, field.name)):
            raise JsonRpcInvalidParams(f"{camel(field.name)} must be {field.type}")
    return found


def _fits(declared: str, value: object) -> bool:
    kinds = {"str": str, "int": int, "bool": bool, "None": type(None)}
    return type(value) in {kinds[name] for name in declared.split(" | ")}


def payload(value: Any) -> dict[str, Any]:
    """A dataclass as the client reads it."""
    return {camel(key): item for key, item in asdict(value).items()}
