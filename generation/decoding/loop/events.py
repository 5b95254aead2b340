"""Events of a generation, put together from what the loop knows. Knows no model and no tool."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING

from generation.decoding.loop.triggers import TriggerPoint
from generation.source.finishing import finish, stay_inside
from generation.source.repetition import certain_length
from generation.types import (
    Candidate,
    Extent,
    Finished,
    FinishReason,
    GenerationStats,
    Suggestion,
    ToolAnswer,
    ToolCalled,
)

if TYPE_CHECKING:
    from generation.decoding.loop.run import Run


def called(
    offset: int,
    point: TriggerPoint,
    answer: ToolAnswer,
    best: tuple[Candidate, ...],
    chosen: Suggestion | None,
    free_name: str | None,
) -> ToolCalled:
    """The tool was asked at ``offset``, and what came of it."""
    return ToolCalled(
        offset=offset,
        kind=point.expected.kind,
        receiver=answer.receiver,
        suggestions=len(answer.suggestions),
        trusted=answer.trusted,
        best=best,
        chosen=chosen,
        model_choice=free_name,
        elapsed_ms=answer.elapsed_ms,
        cached=answer.cached,
        error=answer.error,
    )


def must_stop(cancel: threading.Event | None, started: float, deadline_s: float | None) -> FinishReason | None:
    """Why the caller wants no more, if so."""
    if cancel is not None and cancel.is_set():
        return FinishReason.CANCELLED
    late = deadline_s is not None and time.perf_counter() - started >= deadline_s
    return FinishReason.DEADLINE if late else None


def unwritten(reason: FinishReason | None, prompt_tokens: int, started: float) -> Finished:
    """The end of a generation whose prompt was not read to its end."""
    elapsed_ms = (time.perf_counter() - started) * 1000
    stats = GenerationStats(prompt_tokens=prompt_tokens, prefill_ms=elapsed_ms, total_ms=elapsed_ms)
    return Finished(reason or FinishReason.CANCELLED, "", (), stats)


def showable(run: Run) -> int:
    """How far the text can be shown now: what is certainly inside the block, and more than comments."""
    text, request = run.block.text, run.request
    until = run.block.shown if run.block.has_statement or run.ended else 0
    if not run.ended:  # what says again may be taken back
        until = min(until, len(text[: certain_length(text)].rstrip(" \t\n.")))
    if request.extent is not Extent.BODY and (rest := request.after.partition("\n")[0]).strip():
        until = len(stay_inside(text[:until], request.stem, rest))
    return until


def written(run: Run, reason: FinishReason, prompt_tokens: int, started: float) -> Finished:
    """The end of a generation: the text that is worth keeping, and what it cost."""
    text = finish(run.block.text[: run.block.end], run.request, complete=reason is FinishReason.END)
    stats = GenerationStats(
        prompt_tokens=prompt_tokens,
        generated_tokens=run.written_tokens,
        forwards=run.forwards,
        tool_calls=run.tool_calls,
        tool_ms=run.tool_ms,
        prefill_ms=run.prefill_ms,
        total_ms=(time.perf_counter() - started) * 1000,
        logprob=run.logprob,
    )
    used = set(re.findall(r"\w+", text))
    imports = tuple(needed for needed in dict.fromkeys(run.imports) if needed.bound_name in used)
    return Finished(reason, text, imports, stats)
