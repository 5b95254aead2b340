"""One line of JSON per generated function: written as it is done, read back when a run goes on.

Knows nothing of how a function is generated or judged. Start reading at ``Record``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from generation.config import ToolConfig
from generation.types import Finished, FinishReason, GenerationStats, ImportNeeded, ToolCalled

_DEADLINE_MS = ToolConfig().deadline_s * 1000


@dataclass(frozen=True, slots=True)
class Record:
    """What a configuration wrote for a task.

    Attributes:
        task: its id.
        config: name of the configuration.
        settings: hash of everything the result depends on besides the task and the configuration's name.
        text: the generated body.
        imports: what it needs, as ``[module, name, alias]``.
        reason: why the generation ended; ``error`` when it failed.
        stats: what it cost, as ``GenerationStats``.
        calls: where the tool was asked and what came of it.
        seconds: wall time of the generation, the prompt included.
        first_text_s: until the first text came; None when none came.
        memory_bytes: resident after it, of this process and those of the tool.
        error: the message when it failed.
    """

    task: str
    config: str
    settings: str
    text: str
    imports: list[list[str | None]]
    reason: str
    stats: dict[str, float]
    calls: list[dict[str, Any]]
    seconds: float
    first_text_s: float | None = None
    memory_bytes: int = 0
    error: str | None = None

    @property
    def late_answers(self) -> int:
        """Questions to which the tool had no full answer within the time it has for a person, or none at all."""
        return sum(call["error"] is not None or call["elapsed_ms"] > _DEADLINE_MS for call in self.calls)

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes a second record of the same superfluous."""
        return self.task, self.config, self.settings

    def finished(self) -> Finished:
        """The last event of the generation, as ``service.apply`` takes it."""
        imports = tuple(ImportNeeded(module or "", name, alias) for module, name, alias in self.imports)
        return Finished(FinishReason.END, self.text, imports, GenerationStats())


@dataclass(frozen=True, slots=True)
class Costs:
    """What a generation took, as ``Record`` keeps it."""

    seconds: float
    first_text_s: float | None
    memory_bytes: int


def record_of(key: tuple[str, str, str], finished: Finished, calls: Sequence[ToolCalled], costs: Costs) -> Record:
    """A record of a complete generation."""
    task, config, settings = key
    return Record(
        task=task,
        config=config,
        settings=settings,
        text=finished.text,
        imports=[[needed.module, needed.name, needed.alias] for needed in finished.imports],
        reason=finished.reason.value,
        stats=asdict(finished.stats),
        calls=[_call(event) for event in calls],
        seconds=round(costs.seconds, 4),
        first_text_s=None if costs.first_text_s is None else round(costs.first_text_s, 4),
        memory_bytes=costs.memory_bytes,
    )


def failed_record(key: tuple[str, str, str], error: Exception, seconds: float) -> Record:
    """A record of a generation that ended with an error; it counts as an empty body."""
    message = f"{type(error).__name__}: {error}"
    return Record(*key, "", [], "error", asdict(GenerationStats()), [], round(seconds, 4), error=message)


def _call(event: ToolCalled) -> dict[str, Any]:
    return {
        "offset": event.offset,
        "kind": event.kind.value,
        "receiver": event.receiver,
        "suggestions": event.suggestions,
        "trusted": event.trusted,
        "best": [[candidate.name, round(candidate.probability, 4)] for candidate in event.best],
        "chosen": event.chosen.name if event.chosen else None,
        "source": event.chosen.source.value if event.chosen else None,
        "model_choice": event.model_choice,
        "elapsed_ms": round(event.elapsed_ms, 2),
        "cached": event.cached,
        "error": event.error,
    }


def read_records(path: Path, start: int = 0) -> tuple[list[Record], int]:
    """The records of a file from a byte on, and the byte behind the last whole line.

    A line that a killed run left half written is passed over.
    """
    if not path.exists():
        return [], 0
    with path.open("rb") as stream:
        stream.seek(start)
        content = stream.read()
    whole = content[: content.rfind(b"\n") + 1]
    return [record for line in whole.splitlines() for record in _record(line)], start + len(whole)


def _record(line: bytes) -> Iterator[Record]:
    try:
        yield Record(**json.loads(line.decode("utf-8", "surrogatepass")))
    except (ValueError, TypeError):
        return


def append_record(path: Path, record: Record) -> None:
    """Add a line in one write, on a line of its own also after a half written one."""
    line = json.dumps(asdict(record), ensure_ascii=False) + "\n"
    with path.open("a+b") as stream:
        end = stream.seek(0, 2)
        if end and _last_byte(path, end) != b"\n":
            line = "\n" + line
        stream.write(line.encode("utf-8", "surrogatepass"))


def _last_byte(path: Path, end: int) -> bytes:
    with path.open("rb") as stream:
        stream.seek(end - 1)
        return stream.read(1)
