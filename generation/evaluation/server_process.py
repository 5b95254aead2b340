"""The language server as a process, and a small JSON-RPC client for it; every wait has a limit.

Knows the wire and nothing of the server's code. Start reading at ``ServerProcess``.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

WAIT_S = 60.0
_STATUS = "memberwise/didChangeStatus"
_CAPABILITIES = {
    "window": {"workDoneProgress": True},
    "workspace": {"configuration": True, "applyEdit": True, "workspaceFolders": True},
    "textDocument": {"codeAction": {"tagSupport": {"valueSet": [1]}}, "inlineCompletion": {}},
}
Message = dict[str, Any]


class ServerProcess:
    """One server. A context manager that leaves no process behind.

    Attributes:
        process: the server.
        seen: notifications and requests of the server, the latest last, each with the time it came ``at``.
        answers: by the id of the request, each with the time it came ``at``.
        last_number: id of the latest request.
        sent_at: when requests were sent, by their id.
        first_text_at: when the first streamed text came, by its token.
        configuration: what the server gets when it asks for its settings.
        on_request: what to answer to other requests of the server, by method.
    """

    def __init__(self, arguments: Sequence[str] = (), env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "generation.cli.main", "serve", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
        )
        self.seen: deque[Message] = deque(maxlen=20_000)
        self.answers: dict[Any, Message] = {}
        self.configuration: Any = None
        self.on_request: dict[str, Callable[[Any], Any]] = {}
        self._errors: deque[bytes] = deque(maxlen=1000)
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self.last_number = 0
        self.sent_at: dict[int, float] = {}
        self.first_text_at: dict[int | str, float] = {}
        self._threads = [threading.Thread(target=read, daemon=True) for read in (self._read, self._read_errors)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join(5)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(OSError):
                assert stream is not None
                stream.close()

    # ------------------------------------------------------------------------------------------ a session

    def initialize(
        self,
        *roots: Path,
        options: Any = None,
        encodings: Sequence[str] = ("utf-16",),
        ready: bool = True,
        **more: Any,
    ) -> Any:
        """The handshake; with ``ready``, waits until the model and the folders are there."""
        capabilities = {**_CAPABILITIES, "general": {"positionEncodings": list(encodings)}}
        folders = [{"uri": root.as_uri(), "name": root.name} for root in roots]
        params = {"processId": None, "rootUri": None, "capabilities": capabilities, "workspaceFolders": folders}
        settings = {"statistics": False, **(options or {})}
        result = self.result("initialize", {**params, "initializationOptions": settings, **more})
        self.notify("initialized", {})
        if ready:
            self.wait_ready()
        return result

    def open(self, uri: str, text: str, version: int = 1) -> None:
        """Open a document."""
        item = {"uri": uri, "languageId": "python", "version": version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def change(self, uri: str, version: int, line: int, character: int, text: str, removed: int = 0) -> None:
        """Replace ``removed`` units before a position by ``text``."""
        span = {"start": position(line, character - removed), "end": position(line, character)}
        document = {"uri": uri, "version": version}
        self.notify(
            "textDocument/didChange", {"textDocument": document, "contentChanges": [{"range": span, "text": text}]}
        )

    # ------------------------------------------------------------------------------------------ sending

    def write(self, content: bytes) -> None:
        """Raw bytes."""
        assert self.process.stdin is not None
        with self._writing:
            self.process.stdin.write(content)
            self.process.stdin.flush()

    def send(self, message: Message) -> None:
        """One message."""
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def notify(self, method: str, params: Any) -> None:
        """A notification."""
        self.send({"method": method, "params": params})

    def start(self, method: str, params: Any) -> int:
        """Send a request; its id."""
        self.last_number += 1
        self.sent_at[self.last_number] = time.perf_counter()
        self.send({"id": self.last_number, "method": method, "params": params})
        return self.last_number

    def ask(self, method: str, params: Any, wait_s: float = WAIT_S) -> Message:
        """Send a request and wait for the answer."""
        return self.answer(self.start(method, params), wait_s)

    def result(self, method: str, params: Any, wait_s: float = WAIT_S) -> Any:
        """As ``ask``; an error is an exception."""
        answer = self.ask(method, params, wait_s)
        if "error" in answer:
            raise AssertionError(answer)
        return answer["result"]

    # ------------------------------------------------------------------------------------------ receiving

    def answer(self, number: Any, wait_s: float = WAIT_S) -> Message:
        """The answer to a request.

        Raises:
            TimeoutError: it did not come in time.
        """
        self.until(lambda: number in self.answers, wait_s, f"the answer to request {number}")
        return self.answers[number]

    def until(self, done: Callable[[], Any], wait_s: float = WAIT_S, what: str = "what was waited for") -> None:
        """Wait until something that the server sent makes ``done`` true.

        Raises:
            TimeoutError: it did not come in time.
        """
        with self._changed:
            if not self._changed.wait_for(done, wait_s):
                raise TimeoutError(f"{what} did not come in {wait_s} s; stderr: {self.errors()[-2000:]}")

    def notifications(self, method: str) -> list[Any]:
        """Params of all notifications of one method so far."""
        return [message.get("params") for message in list(self.seen) if message.get("method") == method]

    def wait_ready(self, wait_s: float = 2 * WAIT_S, *, since: int = 0) -> None:
        """Wait until the model and the folders are there; the first ``since`` statuses do not count."""
        self.until(lambda: any(s["kind"] == "ready" for s in self.notifications(_STATUS)[since:]), wait_s, "ready")

    def errors(self) -> str:
        """What the server wrote to stderr."""
        return b"".join(self._errors).decode(errors="replace")

    def _read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        while (length := _content_length(stream)) is not None:
            message = {**json.loads(stream.read(length)), "at": time.perf_counter()}
            with self._changed:
                if "method" in message:
                    self.seen.append(message)
                    self._note_text(message)
                else:
                    self.answers[message["id"]] = message
                self._changed.notify_all()
            if "method" in message and "id" in message:
                with contextlib.suppress(OSError):
                    self.send({"id": message["id"], "result": self._respond(message)})

    def _note_text(self, message: Message) -> None:
        params: Any = message.get("params")
        if message["method"] == "$/progress" and "text" in params["value"]:
            self.first_text_at.setdefault(params["token"], message["at"])

    def _respond(self, message: Message) -> Any:
        method, params = message["method"], message.get("params") or {}
        if method in self.on_request:
            return self.on_request[method](params)
        if method == "workspace/configuration":
            return [self.configuration] * len(params["items"])
        return {"applied": True} if method == "workspace/applyEdit" else None

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self._errors.extend(self.process.stderr)


def position(line: int, character: int) -> dict[str, int]:
    """A position of the protocol."""
    return {"line": line, "character": character}


def inline(uri: str, line: int, character: int, *, invoked: bool = False, **context: Any) -> dict[str, Any]:
    """Params of ``textDocument/inlineCompletion``."""
    return {
        "textDocument": {"uri": uri},
        "position": position(line, character),
        "context": {"triggerKind": 1 if invoked else 2, **context},
    }


def _content_length(stream: Any) -> int | None:
    """Read the headers of a message; None at the end of the stream."""
    length = 0
    while line := stream.readline():
        name, _, value = line.strip().partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        elif not name and length:
            return length
    return None
