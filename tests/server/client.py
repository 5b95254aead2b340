"""A raw JSON-RPC client for the server process: sends anything, also what is malformed; every wait has a timeout."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

SCRIPTED = f"{Path(__file__).with_name('scripted_model.py')}::make"
WAIT_S = 60.0
Message = dict[str, Any]


class Client:
    """One server process. A context manager; kills what is left of it."""

    def __init__(self, model: str = SCRIPTED, env: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "generation.cli.main", "serve"] + (["--model-from", model] if model else [])
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
        )
        self.seen: list[Message] = []  # notifications and requests of the server
        self.answers: dict[Any, Message] = {}
        self.configuration: Any = None
        self.on_request: dict[str, Callable[[Any], Any]] = {}
        self._changed = threading.Condition()
        self._number = 0
        self.stderr: queue.Queue[bytes] = queue.Queue()
        self._threads = [threading.Thread(target=read, daemon=True) for read in (self._read, self._read_errors)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join(5)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()

    # ---------------------------------------------------------------------------------- sending

    def write(self, content: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(content)
        self.process.stdin.flush()

    def send(self, message: Message) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def notify(self, method: str, params: Any) -> None:
        self.send({"method": method, "params": params})

    def start(self, method: str, params: Any) -> int:
        """Send a request; returns its id."""
        self._number += 1
        self.send({"id": self._number, "method": method, "params": params})
        return self._number

    def ask(self, method: str, params: Any, wait_s: float = WAIT_S) -> Message:
        """Send a request and wait for the answer."""
        return self.answer(self.start(method, params), wait_s)

    def result(self, method: str, params: Any, wait_s: float = WAIT_S) -> Any:
        answer = self.ask(method, params, wait_s)
        assert "error" not in answer, answer
        return answer["result"]

    # ---------------------------------------------------------------------------------- receiving

    def answer(self, number: Any, wait_s: float = WAIT_S) -> Message:
        self.until(lambda: number in self.answers, wait_s, f"answer {number}")
        return self.answers[number]

    def until(self, done: Callable[[], Any], wait_s: float = WAIT_S, what: str = "") -> None:
        with self._changed:
            if not self._changed.wait_for(done, wait_s):
                raise TimeoutError(f"{what or done} did not come in {wait_s} s; {self.errors()[-2000:]}")

    def notifications(self, method: str) -> list[Any]:
        return [message.get("params") for message in list(self.seen) if message.get("method") == method]

    def errors(self) -> str:
        return b"".join(self.stderr.queue).decode(errors="replace")

    def _read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        while True:
            length = 0
            while (line := stream.readline().strip()) or not length:
                if not line and self.process.poll() is not None:
                    return
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            message = json.loads(stream.read(length))
            with self._changed:
                if "method" in message:
                    self.seen.append({**message, "at": time.perf_counter()})
                else:
                    self.answers[message["id"]] = {**message, "at": time.perf_counter()}
                self._changed.notify_all()
            if "method" in message and "id" in message:
                self._respond(message)

    def _respond(self, message: Message) -> None:
        method = message["method"]
        if method in self.on_request:
            result = self.on_request[method](message["params"])
        elif method == "workspace/configuration":
            result = [self.configuration] * len(message["params"]["items"])
        elif method == "workspace/applyEdit":
            result = {"applied": True}
        else:
            result = None
        with contextlib.suppress(OSError):
            self.send({"id": message["id"], "result": result})

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.stderr.put(line)

    # ---------------------------------------------------------------------------------- a session

    def initialize(
        self,
        *roots: Path,
        options: Any = None,
        encodings: Sequence[str] = ("utf-16",),
        ready: bool = True,
        **more: Any,
    ) -> Any:
        """The handshake; with ``ready``, waits until the model and the folders are there."""
        capabilities = {
            "general": {"positionEncodings": list(encodings)},
            "window": {"workDoneProgress": True},
            "workspace": {"configuration": True, "applyEdit": True, "workspaceFolders": True},
            "textDocument": {"codeAction": {"tagSupport": {"valueSet": [1]}}, "inlineCompletion": {}},
        }
        folders = [{"uri": root.as_uri(), "name": root.name} for root in roots]
        params = {"processId": None, "rootUri": None, "capabilities": capabilities, "workspaceFolders": folders}
        result = self.result("initialize", {**params, "initializationOptions": options, **more})
        self.notify("initialized", {})
        if ready:
            self.wait_ready()
        return result

    def wait_ready(self, wait_s: float = WAIT_S) -> None:
        self.until(
            lambda: any(s["kind"] == "ready" for s in self.notifications("memberwise/didChangeStatus")), wait_s, "ready"
        )

    def open(self, uri: str, text: str, version: int = 1) -> None:
        item = {"uri": uri, "languageId": "python", "version": version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def change(self, uri: str, version: int, line: int, character: int, text: str, removed: int = 0) -> None:
        """Replace ``removed`` units before a position by ``text``."""
        span = {"start": position(line, character - removed), "end": position(line, character)}
        document = {"uri": uri, "version": version}
        self.notify(
            "textDocument/didChange", {"textDocument": document, "contentChanges": [{"range": span, "text": text}]}
        )


def position(line: int, character: int) -> dict[str, int]:
    return {"line": line, "character": character}


def inline(uri: str, line: int, character: int, *, invoked: bool = False, **context: Any) -> dict[str, Any]:
    """Params of ``textDocument/inlineCompletion``."""
    return {
        "textDocument": {"uri": uri},
        "position": position(line, character),
        "context": {"triggerKind": 1 if invoked else 2, **context},
    }


def cursor(marked: str) -> tuple[str, int, int]:
    """A text without its ``$0``, and the line and character (of ASCII text) where that stood."""
    before, after = marked.split("$0")
    return before + after, before.count("\n"), len(before) - before.rfind("\n") - 1
