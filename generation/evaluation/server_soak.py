"""Whether the language server lasts: minutes of editing, nonsense and broken parts, and what is left of it afterwards.

Everything happens to one real server process: typing, requests that are cancelled or overtaken, bodies, messages that
are no messages, tool processes that are killed, settings that change. Counts what was not answered, what failed, and
what grew. Knows the protocol and nothing of the server's code. Start reading at ``soak``.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from generation.evaluation.server_bench import memory_mb, percentiles
from generation.evaluation.server_process import ServerProcess, inline, position
from generation.evaluation.sources import python_files, read_text

_EXPECTED = frozenset({-32700, -32600, -32601, -32602, -32800, -32801, -32802, -32803})
_SAMPLE_S = 30.0
_ANSWER_S = 60.0
_INLINE = "textDocument/inlineCompletion"
_COMMAND = "workspace/executeCommand"


def soak(
    root: Path,
    minutes: float,
    seed: int,
    arguments: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Use one server for so long.

    Args:
        root: a repository to work in.
        minutes: how long.
        seed: of every random choice.
        arguments: further ones of ``memberwise serve``.
        say: is told how it goes.
    """
    with ServerProcess(arguments) as server:
        server.initialize(root, options={"lineTokens": 12, "blockTokens": 24, "bodyTokens": 24})
        run = _Run(server, root, random.Random(seed))
        until_s = time.monotonic() + minutes * 60
        while time.monotonic() < until_s:
            run.act()
            if run.is_time():
                run.sample()
                say(f"{run.sent} requests, {run.samples[-1]['rss_mb']} MB")
        return run.finish()


class _Run:
    """One soak."""

    def __init__(self, server: ServerProcess, root: Path, chance: random.Random) -> None:
        self.server = server
        self.chance = chance
        texts = {path: text for path in python_files(root)[:40] if (text := read_text(path)) and len(text) < 60_000}
        self.texts = [(path.as_uri(), text) for path, text in texts.items()]
        self.sent = self.killed = self.version = 0
        self.codes: Counter[str] = Counter()
        self.open_requests: list[int] = []
        self.samples: list[dict[str, float]] = []
        self.hover_ms: list[float] = []
        self.cancel_ms: list[float] = []
        self._next_s = time.monotonic() + _SAMPLE_S / 3
        self._actions: list[tuple[int, Callable[[], None]]] = [
            (50, self.type_and_ask),
            (10, self.cancel),
            (20, self.hover),
            (5, self.lens),
            (3, self.body),
            (4, self.nonsense),
            (2, self.wrong_params),
            (1, self.settings),
            (1, self.kill_a_tool),
            (3, self.close),
        ]

    def act(self) -> None:
        """One random thing."""
        weights, actions = zip(*self._actions, strict=True)
        self.chance.choices(actions, weights)[0]()
        self.collect()
        time.sleep(self.chance.uniform(0.0, 0.05))

    def start(self, method: str, params: Any) -> int:
        """Send a request that must be answered some time."""
        number = self.server.start(method, params)
        self.open_requests.append(number)
        self.sent += 1
        return number

    def collect(self) -> None:
        """Count what was answered."""
        for number in [number for number in self.open_requests if number in self.server.answers]:
            self.open_requests.remove(number)
            self.count(self.server.answers.pop(number))
            self.server.sent_at.pop(number, None)

    def count(self, answer: dict[str, Any]) -> None:
        """Count an answer by its code."""
        self.codes[str(answer["error"]["code"]) if "error" in answer else "result"] += 1

    # ------------------------------------------------------------------------------------------ things that happen

    def type_and_ask(self) -> None:
        """Open a file somewhere, type a few keys, ask at each."""
        uri, text = self.chance.choice(self.texts)
        offset = text.find("\n", self.chance.randrange(len(text)))
        before, after = text[:offset] + "\n    ", text[offset:]
        self.version += 1
        self.server.open(uri, before + after, self.version)
        line, character = before.count("\n"), 4
        for key in self.chance.choice(("self.", "return ", "for x in ", "x", "")):
            self.version += 1
            self.server.change(uri, self.version, line, character, key)
            character += 1
            self.start(_INLINE, inline(uri, line, character))
            time.sleep(self.chance.choice((0.0, 0.05, 0.2)))
        self.start(_INLINE, inline(uri, line, character, invoked=self.chance.random() < 0.3))

    def cancel(self) -> None:
        """Cancel what is under way; the answer comes at once."""
        if not self.open_requests:
            return
        number = self.open_requests[-1]
        started_s = time.perf_counter()
        self.server.notify("$/cancelRequest", {"id": number})
        answer = self.server.answer(number, _ANSWER_S)
        self.cancel_ms.append(max(0.0, answer["at"] - started_s) * 1000)

    def hover(self) -> None:
        """Hover somewhere."""
        uri, _ = self.chance.choice(self.texts)
        started_s = time.perf_counter()
        number = self.start("textDocument/hover", {"textDocument": {"uri": uri}, "position": position(3, 3)})
        self.hover_ms.append((self.server.answer(number, _ANSWER_S)["at"] - started_s) * 1000)

    def lens(self) -> None:
        """Ask for the lenses of a file that may not be open."""
        self.start("textDocument/codeLens", {"textDocument": {"uri": self.chance.choice(self.texts)[0]}})

    def body(self) -> None:
        """Generate a body, and stop it half of the time."""
        uri = self.texts[0][0] + ".stub.py"
        self.version += 1
        self.server.open(uri, "class Stub:\n    size = 1\n\n    def double(self):\n        ...\n", self.version)
        argument = {"uri": uri, "qualname": "Stub.double"}
        number = self.start(_COMMAND, {"command": "memberwise.generateBody", "arguments": [argument]})
        if self.chance.random() < 0.5:
            time.sleep(self.chance.uniform(0, 0.5))
            self.server.notify("$/cancelRequest", {"id": number})

    def nonsense(self) -> None:
        """Bytes that are no message."""
        body = self.chance.choice((b"{", b"[]", b"\xff\xfe", b'{"jsonrpc": "2.0"}', b"null"))
        self.server.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.server.answers.pop(None, None)

    def wrong_params(self) -> None:
        """Requests that cannot be understood."""
        method = self.chance.choice((_INLINE, _COMMAND, "textDocument/unknown", "memberwise/explain"))
        self.start(method, self.chance.choice((3, {"a": 1}, [None], "text")))

    def settings(self) -> None:
        """Change the settings, also to nonsense."""
        self.server.configuration = self.chance.choice(({}, {"inline": "line"}, {"lineTokens": -1}, {"inline": 7}))
        self.server.notify("workspace/didChangeConfiguration", {"settings": None})

    def kill_a_tool(self) -> None:
        """Kill a process that asks Jedi."""
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.server.process.pid).children(recursive=True)[:1]:
                child.kill()
                self.killed += 1

    def close(self) -> None:
        """Close a document, open or not."""
        self.server.notify("textDocument/didClose", {"textDocument": {"uri": self.chance.choice(self.texts)[0]}})

    # ------------------------------------------------------------------------------------------ what is left

    def is_time(self) -> bool:
        """Whether the next sample is due."""
        return time.monotonic() >= self._next_s

    def sample(self) -> None:
        """What the server holds now."""
        self._next_s = time.monotonic() + _SAMPLE_S
        own = psutil.Process(self.server.process.pid)
        self.samples.append(
            {
                "requests": self.sent,
                "rss_mb": round(memory_mb(self.server)),
                "server_mb": round(own.memory_info().rss / 1e6),
                "threads": own.num_threads(),
                "files": own.num_fds(),
                "children": len(own.children(recursive=True)),
            }
        )

    def finish(self) -> dict[str, Any]:
        """Wait for all answers, let the server go, and report."""
        deadline_s = time.monotonic() + _ANSWER_S
        while self.open_requests and time.monotonic() < deadline_s:
            self.collect()
            time.sleep(0.05)
        self.sample()
        children = psutil.Process(self.server.process.pid).children(recursive=True)
        started_s = time.perf_counter()
        self.server.ask("shutdown", None)
        self.server.notify("exit", None)
        code = self.server.process.wait(10)
        ended_ms = (time.perf_counter() - started_s) * 1000
        left = [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
        unexpected = {c: n for c, n in self.codes.items() if c != "result" and int(c) not in _EXPECTED}
        return {
            "requests": self.sent,
            "answers": dict(self.codes.most_common()),
            "unanswered": len(self.open_requests),
            "unexpected_errors": unexpected,
            "tool_processes_killed": self.killed,
            "hover_ms": percentiles(self.hover_ms),
            "cancel_ms": percentiles(self.cancel_ms),
            "samples": self.samples,
            "end_ms": round(ended_ms),
            "exit_code": code,
            "processes_left": len(left),
        }
