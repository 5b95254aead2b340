"""pygls' protocol where it has to behave otherwise: every bad message is answered, and documents are kept by us.

Knows messages, not what the server does with them. Start reading at ``Protocol.structure_message``.
"""

from __future__ import annotations

import io
import json
import re
from typing import Any

import cattrs
from lsprotocol import types
from pygls.exceptions import (
    JsonRpcException,
    JsonRpcInvalidParams,
    JsonRpcInvalidRequest,
    JsonRpcParseError,
    JsonRpcServerNotInitialized,
)
from pygls.protocol import (
    JsonRPCNotification,
    JsonRPCRequestMessage,
    JsonRPCResponseMessage,
    LanguageServerProtocol,
    default_converter,
)

_OURS = (  # handled by features of the server: pygls' own handlers split lines differently, or lose what we need
    types.TEXT_DOCUMENT_DID_OPEN,
    types.TEXT_DOCUMENT_DID_CHANGE,
    types.TEXT_DOCUMENT_DID_CLOSE,
    types.NOTEBOOK_DOCUMENT_DID_OPEN,
    types.NOTEBOOK_DOCUMENT_DID_CHANGE,
    types.NOTEBOOK_DOCUMENT_DID_CLOSE,
    types.WORKSPACE_EXECUTE_COMMAND,
    types.WINDOW_WORK_DONE_PROGRESS_CANCEL,
    types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS,
)
_BEFORE_INITIALIZE = (types.INITIALIZE, types.EXIT)
_LENGTH = re.compile(rb"content-length[ \t]*:[ \t]*(\d+)[ \t]*\r?\n", re.IGNORECASE)


class Input(io.BufferedReader):
    """What the client sends. Headers may be in upper or lower case; pygls knows one spelling."""

    def readline(self, size: int | None = -1, /) -> bytes:
        """A line of the headers."""
        line = super().readline(size)
        length = _LENGTH.fullmatch(line)
        return b"Content-Length: %s\r\n" % length[1] if length else line


class _Answered:
    """A message that has been answered already, or cannot be."""

    jsonrpc = "answered"


def converter() -> cattrs.Converter:
    """Pygls' converter, but params of methods it does not know stay plain objects."""
    made: cattrs.Converter = default_converter()  # type: ignore[no-untyped-call]
    for kind in (JsonRPCRequestMessage, JsonRPCNotification, JsonRPCResponseMessage):
        made.register_structure_hook(kind, _plain)
    return made


def _plain(message: dict[str, Any], kind: type[Any]) -> Any:
    return kind(**{key: message.get(key) for key in kind.__annotations__})


class Protocol(LanguageServerProtocol):
    """Answers what cannot be understood, before it can do harm."""

    def __init__(self, server: Any, made: cattrs.Converter) -> None:
        super().__init__(server, made)
        self._initialized = False
        for method in _OURS:
            self.fm.builtin_features.pop(method, None)

    def structure_message(self, data: Any) -> Any:
        """Called for every JSON object, innermost first; the whole message is the one with ``jsonrpc``."""
        if not isinstance(data, dict) or "jsonrpc" not in data:
            return data
        if fault := _fault(data):
            number = data.get("id")
            self.answer_unreadable(JsonRpcInvalidRequest(fault), number if _is_id(number) else None)
            return _Answered()
        try:
            return super().structure_message(data)
        except JsonRpcException as error:
            if "method" in data and "id" in data:
                wrong = JsonRpcInvalidParams(f"{data['method']}: {_cause(error)}")
                self._send_response(data["id"], error=wrong.to_response_error())
            return _Answered()

    def handle_message(self, message: Any) -> None:
        """Dispatch; what comes too early or too late is an error, not silence."""
        if isinstance(message, _Answered):
            return
        if not hasattr(message, "jsonrpc"):
            self.answer_unreadable(JsonRpcInvalidRequest("not a JSON-RPC message"))
            return
        method, number = getattr(message, "method", None), getattr(message, "id", None)
        refused = self._refused(method)
        if refused is None:
            self._initialized |= method == types.INITIALIZE
            super().handle_message(message)
        elif method is not None and number is not None:
            self._send_response(number, error=refused.to_response_error())

    def answer_unreadable(self, error: JsonRpcException, number: object = None) -> None:
        """Answer something that is no request, or has no id."""
        response = {"jsonrpc": self.VERSION, "id": number, "error": {"code": error.code, "message": error.message}}
        self._send_data(response)

    def report_broken(self, error: Exception) -> bool:
        """Answer bytes that are no JSON; False when that is not what went wrong."""
        if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | RecursionError):
            self.answer_unreadable(JsonRpcParseError(f"not JSON: {type(error).__name__}"))
            return True
        return False

    def _refused(self, method: str | None) -> JsonRpcException | None:
        if method is None or method == types.EXIT:
            return None
        if self._shutdown:
            return JsonRpcInvalidRequest("the server is shutting down")
        if not self._initialized and method not in _BEFORE_INITIALIZE:
            return JsonRpcServerNotInitialized("initialize comes first")
        if self._initialized and method == types.INITIALIZE:
            return JsonRpcInvalidRequest("initialize was sent before")
        return None


def _fault(message: dict[str, Any]) -> str:
    """Why a message is neither request nor notification; empty where it is one, and for responses."""
    if "method" not in message:
        return ""
    if not isinstance(message["method"], str):
        return "the method must be a string"
    return "" if _is_id(message.get("id")) else "the id must be a string or a number"


def _is_id(value: object) -> bool:
    return value is None or (isinstance(value, str | int | float) and not isinstance(value, bool))


def _cause(error: JsonRpcException) -> str:
    """The first leaf of what a converter complains about, without the values it complains about."""
    cause: BaseException | None = error.__cause__
    while isinstance(cause, BaseExceptionGroup) and cause.exceptions:
        cause = cause.exceptions[0]
    return f"{type(cause).__name__}: {cause}"[:200] if isinstance(cause, KeyError | TypeError) else "wrong params"
