"""One record per function: what was written, from what, and what is wrong with it. Start reading at ``BatchRecord``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from generation.batch.targets import Target, Unreadable
from generation.candidates import RankedCandidate
from generation.evaluation.running.records import call_line, finished_of, import_lines
from generation.ledger import Ledger
from generation.types import Finished


class Status(StrEnum):
    """What became of a function."""

    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """What became of one function; with ``run.json`` it holds what is needed to write it again.

    Attributes:
        repository: name of its repository.
        path: of its file in there.
        function: its qualified name; empty where the file as a whole could not be read.
        settings: hash of everything the result depends on besides the repository.
        status: whether there is a body.
        error: why there is none.
        text: the body.
        imports: what it needs, as ``[module, name, alias]``.
        reason: why the generation ended.
        problems: what the checks say, one ``{"kind", "line", "name", "message"}`` each; lines from 0 in the new file.
        test_failed: the end of what the test command printed; None where it passed or there is none.
        attempt: which of the attempts this is; 0 is the greedy one.
        attempts: how many were made.
        source_sha256: of the file it was written into.
        stats: what this attempt cost, as ``GenerationStats``.
        calls: where the tool was asked and what came of it.
        seconds: wall time of all attempts.
    """

    repository: str
    path: str
    function: str
    settings: str
    status: Status
    error: str | None = None
    text: str = ""
    imports: list[list[str | None]] = field(default_factory=list)
    reason: str = ""
    problems: list[dict[str, Any]] = field(default_factory=list)
    test_failed: str | None = None
    attempt: int = 0
    attempts: int = 0
    source_sha256: str = ""
    stats: dict[str, float] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def key(self) -> tuple[str, ...]:
        """What makes a second record superfluous."""
        return self.repository, self.path, self.function, self.settings

    @property
    def doubt(self) -> float:
        """How much a person should look at it: failures, then problems, then what the model was unsure of."""
        if self.status is Status.FAILED:
            return 1000.0
        unsure = -self.stats.get("logprob", 0.0) / max(1.0, self.stats.get("generated_tokens", 0.0))
        return 100.0 * len(self.problems) + (50.0 if self.test_failed is not None else 0.0) + unsure

    def finished(self) -> Finished:
        """The result as ``service.apply`` takes it."""
        return finished_of(self.text, self.imports)


def ledger(folder: Path) -> Ledger[BatchRecord]:
    """The records of a run."""
    return Ledger(folder, _read, asdict)


def _read(content: dict[str, Any]) -> BatchRecord:
    return BatchRecord(**{**content, "status": Status(content["status"])})


def written(target: Target, settings: str, best: RankedCandidate, **more: Any) -> BatchRecord:
    """The record of a body."""
    finished = best.finished
    return BatchRecord(
        *target.key,
        settings,
        Status.DONE,
        text=finished.text,
        imports=import_lines(finished),
        reason=finished.reason.value,
        problems=[asdict(problem) for problem in best.problems],
        stats=asdict(finished.stats),
        calls=[call_line(call) for call in best.calls],
        **more,
    )


def failed(target: Target | Unreadable, settings: str, reason: str, seconds: float = 0.0) -> BatchRecord:
    """The record of a function, or of a file, for which there is no body."""
    function = target.function if isinstance(target, Target) else ""
    return BatchRecord(
        target.repository, target.path, function, settings, Status.FAILED, error=reason, seconds=round(seconds, 3)
    )
