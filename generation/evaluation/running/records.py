"""One record per generated function: a line of JSON, read back when a run goes on.

Knows nothing of how a function is generated or judged. Start reading at ``Record``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from generation.config import ToolConfig
from generation.ledger import Ledger
from generation.types import Finished, FinishReason, GenerationStats, ImportNeeded, ToolCalled

RecordKey = tuple[str, str, str]  # task, configuration, settings
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
    def key(self) -> RecordKey:
        """What makes a second record of the same superfluous."""
        return self.task, self.config, self.settings

    def finished(self) -> Finished:
        """The last event of the generation, as ``service.apply`` takes it."""
        return finished_of(self.text, self.imports)


@dataclass(frozen=True, slots=True)
class Costs:
    """What a generation took, as ``Record`` keeps it."""

    seconds: float
    first_text_s: float | None
    memory_bytes: int


def record_of(key: RecordKey, finished: Finished, calls: Sequence[ToolCalled], costs: Costs) -> Record:
    """A record of a complete generation."""
    task, config, settings = key
    return Record(
        task=task,
        config=config,
        settings=settings,
        text=finished.text,
        imports=import_lines(finished),
        reason=finished.reason.value,
        stats=asdict(finished.stats),
        calls=[call_line(event) for event in calls],
        seconds=round(costs.seconds, 4),
        first_text_s=None if costs.first_text_s is None else round(costs.first_text_s, 4),
        memory_bytes=costs.memory_bytes,
    )


def failed_record(key: RecordKey, error: Exception, seconds: float) -> Record:
    """A record of a generation that ended with an error; it counts as an empty body."""
    message = f"{type(error).__name__}: {error}"
    return Record(*key, "", [], "error", asdict(GenerationStats()), [], round(seconds, 4), error=message)


def import_lines(finished: Finished) -> list[list[str | None]]:
    """The imports of a result as a record holds them."""
    return [[needed.module, needed.name, needed.alias] for needed in finished.imports]


def finished_of(text: str, imports: Sequence[Sequence[str | None]]) -> Finished:
    """A result that a record holds, as ``service.apply`` takes it."""
    needed = tuple(ImportNeeded(module or "", name, alias) for module, name, alias in imports)
    return Finished(FinishReason.END, text, needed, GenerationStats())


def call_line(event: ToolCalled) -> dict[str, Any]:
    """A question to the tool as a record holds it."""
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


def ledger(folder: Path) -> Ledger[Record]:
    """The records of a run."""
    return Ledger(folder, lambda content: Record(**content), asdict)
