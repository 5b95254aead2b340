"""How quick the language server is to somebody who types: the real process, real files, replayed typing.

A function's body is taken out of a real file. Somebody opens the file, looks at it with the cursor where the body
belongs, and types it again, key by key, in bursts with pauses, with a slip and a backspace now and then. A completion
is asked for at every key, the one before is cancelled, as editors do; what is offered in a pause and is what comes
next is accepted. Every random choice follows from the seed. Knows the protocol and nothing of the server's code.
Start reading at ``measure``.
"""

from __future__ import annotations

import contextlib
import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import psutil

from generation.evaluation.server_process import ServerProcess, inline, position
from generation.evaluation.sources import read_text
from generation.evaluation.tasks import Task, collect_tasks

DEBOUNCE_MS = 75
MOST_KEYS = 120  # of one body
_KEY_S, _PAUSE_S, _ARRIVAL_S = (0.05, 0.12), (0.4, 1.2), (1.5, 3.0)
_PATIENCE_S = 2.0  # longer than that nobody looks
_SLIP = 0.03
_PAUSES = 0.06  # share of keys after which somebody stops and looks
_PROBES = 12
_WAIT_S = 30.0
_STREAM = "memberwise/streamInlineCompletion"


@dataclass(slots=True)
class Times:
    """Everything that was measured, in milliseconds, and counts."""

    initialize_ms: list[float] = field(default_factory=list)
    ready_ms: list[float] = field(default_factory=list)
    first_text_ms: list[float] = field(default_factory=list)
    cold_first_text_ms: list[float] = field(default_factory=list)
    full_ms: list[float] = field(default_factory=list)
    cached_ms: list[float] = field(default_factory=list)
    cancel_ms: list[float] = field(default_factory=list)
    freed_ms: list[float] = field(default_factory=list)
    hover_ms: list[float] = field(default_factory=list)
    overhead_ms: list[float] = field(default_factory=list)
    keys: int = 0
    requests: int = 0
    answered: int = 0
    cached: int = 0
    overtaken: int = 0
    accepted: int = 0
    failed: int = 0
    cpu_s: float = 0.0
    rss_mb: float = 0.0


def measure(
    roots: dict[str, Path],
    functions: int,
    seed: int,
    arguments: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
    *,
    keys: int = MOST_KEYS,
) -> dict[str, Any]:
    """Type ``functions`` bodies of each repository into one server a repository.

    Args:
        roots: repositories by name.
        functions: how many of each.
        seed: of every random choice.
        arguments: further ones of ``memberwise serve``.
        say: is told how it goes.
        keys: most keys of one body.
    """
    times = Times()
    for number, (name, root) in enumerate(roots.items(), start=1):
        started_s = time.perf_counter()
        with ServerProcess(arguments) as server:
            server.initialize(root, options={"debounceMs": DEBOUNCE_MS}, ready=False)
            times.initialize_ms.append((time.perf_counter() - started_s) * 1000)
            server.wait_ready()
            times.ready_ms.append((time.perf_counter() - started_s) * 1000)
            typist = _Typist(server, root, times, random.Random(f"{seed}{name}"))
            typist.warm_up()
            for task in _chosen(root, name, functions, seed):
                typist.write(task, keys)
            for task in _chosen(root, name, functions, seed + 1):
                typist.probe_cold(task)
            typist.probe_cancel()
            typist.probe_overhead()
            times.rss_mb = max(times.rss_mb, memory_mb(server))
        say(f"{number}/{len(roots)} {name}: {times.keys} keys so far")
    return report(times)


def report(times: Times) -> dict[str, Any]:
    """The numbers as JSON; those of a kind that never happened are null."""
    kinds = [kind.name for kind in fields(Times) if kind.name.endswith("_ms")]
    return {
        **{kind: percentiles(getattr(times, kind)) for kind in kinds},
        "rss_mb": round(times.rss_mb),
        "cpu_ms_per_key": round(times.cpu_s * 1000 / max(1, times.keys), 2),
        "keys": times.keys,
        "requests": times.requests,
        "answered_share": round(times.answered / max(1, times.requests), 3),
        "cached_share": round(times.cached / max(1, times.answered), 3),
        "overtaken_share": round(times.overtaken / max(1, times.requests), 3),
        "accepted": times.accepted,
        "failed": times.failed,
        "debounce_ms": DEBOUNCE_MS,
    }


def percentiles(values: Sequence[float]) -> dict[str, float | int | None]:
    """Median and 95th percentile, nearest rank."""
    ordered = sorted(values)
    if not ordered:
        return {"p50": None, "p95": None, "count": 0}
    return {
        "p50": round(statistics.median(ordered), 2),
        "p95": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 2),
        "count": len(ordered),
    }


def memory_mb(server: ServerProcess) -> float:
    """Resident memory of the server and its tool processes."""
    total = 0
    for process in _family(server):
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total / 1e6


def _cpu_s(server: ServerProcess) -> float:
    total = 0.0
    for process in _family(server):
        with contextlib.suppress(psutil.Error):
            used = process.cpu_times()
            total += used.user + used.system
    return total


def _family(server: ServerProcess) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(server.process.pid)
        return [parent, *parent.children(recursive=True)]
    return []


def _chosen(root: Path, name: str, count: int, seed: int) -> Iterable[Task]:
    tasks = collect_tasks(root, name)
    return random.Random(seed).sample(tasks, min(count, len(tasks)))


class _Typist:
    """Somebody who writes into one server."""

    def __init__(self, server: ServerProcess, root: Path, times: Times, chance: random.Random) -> None:
        self.server = server
        self.root = root
        self.times = times
        self.chance = chance
        self.uri = ""
        self.version = 0
        self.text = ""
        self.offset = 0
        self.pending: int | None = None

    # ------------------------------------------------------------------------------------------ writing a body

    def write(self, task: Task, keys: int) -> None:
        """Type the body of a function, as far as ``keys`` go."""
        text = read_text(self.root / task.path)
        assert text is not None
        body = text[task.start : task.end].rstrip()[:keys]
        self.open(task.path, text[: task.start], text[task.end :])
        self.arrive()
        before_s = _cpu_s(self.server)
        written = 0
        while written < len(body):
            if self.chance.random() < _SLIP:
                self.slip()
            pressed = _pressed(body[written:])
            self.key(pressed)
            written += len(pressed)
            self.request()
            if "\n" in pressed or self.chance.random() < _PAUSES:
                written += self.look(body[written:])
            else:
                time.sleep(self.chance.uniform(*_KEY_S))
        self.cancel_pending()
        self.times.cpu_s += _cpu_s(self.server) - before_s

    def open(self, path: str, before: str, after: str) -> None:
        """Open a file with the cursor between two texts."""
        self.uri, self.version = (self.root / path).as_uri(), self.version + 1
        self.text, self.offset = before + after, len(before)
        self.server.open(self.uri, self.text, self.version)

    def arrive(self) -> None:
        """Rest with the cursor where something is to be written, as somebody does who has just come to a place."""
        place = {"textDocument": {"uri": self.uri}, "position": position(*self.place())}
        self.server.notify("memberwise/didMoveCursor", place)
        time.sleep(self.chance.uniform(*_ARRIVAL_S))

    def key(self, text: str) -> None:
        """Insert text at the cursor."""
        self.version += 1
        line, character = self.place()
        self.server.change(self.uri, self.version, line, character, text)
        self.text = self.text[: self.offset] + text + self.text[self.offset :]
        self.offset += len(text)
        self.times.keys += 1

    def slip(self) -> None:
        """A wrong key, and a backspace."""
        self.key("q")
        self.request()
        time.sleep(self.chance.uniform(*_KEY_S))
        self.version += 1
        line, character = self.place()
        self.server.change(self.uri, self.version, line, character, "", removed=1)
        self.text = self.text[: self.offset - 1] + self.text[self.offset :]
        self.offset -= 1
        self.times.keys += 1

    def place(self) -> tuple[int, int]:
        """The cursor as the protocol counts, in UTF-16."""
        above = self.text[: self.offset]
        line = above[above.rfind("\n") + 1 :]
        return above.count("\n"), len(line.encode("utf-16-le")) // 2

    # ------------------------------------------------------------------------------------------ asking

    def request(self) -> None:
        """Ask for a completion at the cursor; what was asked before is settled and cancelled."""
        self.cancel_pending()
        self.pending = self.start()
        self.times.requests += 1

    def start(self) -> int:
        """Send a request whose text is streamed under its own number."""
        token = f"bench-{self.server.last_number + 1}"
        return self.server.start(_STREAM, {**inline(self.uri, *self.place()), "partialResultToken": token})

    def cancel_pending(self) -> None:
        """Cancel the request under way, as an editor does when the next key comes."""
        if self.pending is not None:
            if self.pending not in self.server.answers:
                self.server.notify("$/cancelRequest", {"id": self.pending})
            self.settle(self.pending)
            self.pending = None

    def look(self, coming: str) -> int:
        """Pause; accept what is offered where it is what comes next. How much was accepted."""
        pause_s = self.chance.uniform(*_PAUSE_S)
        started_s = time.perf_counter()
        self.hover()
        assert self.pending is not None
        with contextlib.suppress(TimeoutError):
            self.server.answer(self.pending, max(pause_s, _PATIENCE_S))
        time.sleep(max(0.0, pause_s - (time.perf_counter() - started_s)))
        if self.pending not in self.server.answers:
            self.cancel_pending()
            return 0
        number, self.pending = self.pending, None
        items = self.settle(number)
        text = items[0]["insertText"] if items else ""
        typed = _typed(self.text[: self.offset])
        rest = text.removeprefix(typed)
        if not rest or not coming.startswith(rest) or not text.startswith(typed):
            return 0
        self.key(rest)
        self.server.start("workspace/executeCommand", items[0]["command"])
        self.times.accepted += 1
        return len(rest)

    def settle(self, number: int) -> list[dict[str, Any]]:
        """Count what came of a request; its items."""
        with contextlib.suppress(TimeoutError):
            self.server.answer(number, _WAIT_S)
        answer = self.server.answers.pop(number, {"error": {"code": 0}})
        sent_s = self.server.sent_at.pop(number, 0.0)
        code = answer.get("error", {}).get("code")
        if code is not None:
            self.times.overtaken += code in (-32800, -32801, -32802)
            self.times.failed += code not in (-32800, -32801, -32802)
            return []
        self.times.answered += 1
        items: list[dict[str, Any]] = answer["result"]["items"]
        took_ms = (answer["at"] - sent_s) * 1000
        if items and items[0]["cached"]:
            self.times.cached += 1
            self.times.cached_ms.append(took_ms)
        elif items:
            self.times.full_ms.append(took_ms - DEBOUNCE_MS)
            first_s = self.server.first_text_at.get(f"bench-{number}")
            first_ms = took_ms if first_s is None else (first_s - sent_s) * 1000
            self.times.first_text_ms.append(first_ms - DEBOUNCE_MS)
        return items

    # ------------------------------------------------------------------------------------------ probes

    def hover(self) -> None:
        """How long a hover takes while a completion is under way."""
        params = {"textDocument": {"uri": self.uri}, "position": position(0, 0)}
        started_s = time.perf_counter()
        number = self.server.start("textDocument/hover", params)
        answer = self.server.answer(number, _WAIT_S)
        self.times.hover_ms.append((answer["at"] - started_s) * 1000)
        self.server.answers.pop(number, None)

    def warm_up(self) -> None:
        """One completion that is not counted."""
        self.open(
            "warm_up.py", "import json\n\n\ndef read(path):\n    with open(path) as file:\n        return json.", "\n"
        )
        self.server.answer(self.start(), _WAIT_S * 4)

    def probe_cold(self, task: Task) -> None:
        """The first text in a file that is opened and typed into at once."""
        text = read_text(self.root / task.path)
        assert text is not None
        self.open(task.path, text[: task.start], text[task.end :])
        body = text[task.start : task.end]
        self.key(body[: len(body) - len(body.lstrip())])
        number = self.start()
        answer = self.server.answer(number, _WAIT_S)
        if answer.get("result", {}).get("items"):
            shown_s = self.server.first_text_at.get(f"bench-{number}")
            first_s: float = answer["at"] if shown_s is None else shown_s
            self.times.cold_first_text_ms.append((first_s - self.server.sent_at[number]) * 1000 - DEBOUNCE_MS)

    def probe_cancel(self) -> None:
        """How long a cancel takes to be answered and to free the model, in the prompt as well as later."""
        for number in range(_PROBES):
            head = f"class Probe{number}:\n    value = {number}\n\n"
            body = "".join(f"    def method_{i}(self):\n        return self.value + {i}\n\n" for i in range(40))
            self.open(f"probe_{number}.py", f"{head}{body}    def last(self):\n        return self.", "\n")
            request = self.start()
            time.sleep(0.15 + 0.1 * number)
            if request in self.server.answers:
                continue
            started_s = time.perf_counter()
            self.server.notify("$/cancelRequest", {"id": request})
            answer = self.server.answer(request, _WAIT_S)
            self.times.cancel_ms.append((answer["at"] - started_s) * 1000)
            while self.server.result("memberwise/statistics", None)["decoding"]:
                time.sleep(0.002)
            self.times.freed_ms.append((time.perf_counter() - started_s) * 1000)

    def probe_overhead(self) -> None:
        """What the protocol costs when nothing is to be done."""
        for _ in range(100):
            started_s = time.perf_counter()
            self.server.result("memberwise/status", None)
            self.times.overhead_ms.append((time.perf_counter() - started_s) * 1000)


def _pressed(coming: str) -> str:
    """What the next key brings: of a new line the indentation too, which editors put there."""
    rest = coming.lstrip()
    return coming[: len(coming) - len(rest)] if coming.startswith("\n") else coming[:1]


def _typed(before: str) -> str:
    """The name that has begun at the cursor."""
    start = len(before)
    while start and (before[start - 1] == "_" or before[start - 1].isalnum()):
        start -= 1
    return before[start:] if before[start : start + 1].isidentifier() else ""
