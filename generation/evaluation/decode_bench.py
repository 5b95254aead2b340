"""How quick the model is: ours, with and without drafts, against transformers and llama.cpp, on real files.

Engines take turns on each prompt, so that a busy moment of the machine meets all of them; medians are compared as
ratios. Knows no implementation but by name. Start reading at ``measure``.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from generation.decoding.rivals import Clock, Engine, Timing
    from generation.interfaces import LanguageModel

OURS, PLAIN, TRANSFORMERS, LLAMA_CPP = "int8 with drafts", "int8", "transformers float32", "llama.cpp"
_REQUANTISED = ("Q4_0", "Q8_0")
_FILE_BYTES = 200_000  # larger files are tables


@dataclass(frozen=True, slots=True)
class Row:
    """Medians of one engine at one length of the prompt."""

    engine: str
    prompt_tokens: int
    read_tokens_per_s: float
    write_tokens_per_s: float
    total_s: float


def own_engine(model: LanguageModel, clock: Clock) -> Engine:
    """Ours, with drafts."""
    from generation.decoding.rivals import OwnEngine

    return OwnEngine(model, drafts=True, clock=clock)


def engines(folder: Path, ours: Engine, model: LanguageModel, clock: Clock) -> dict[str, Engine]:
    """What is compared, by name, without llama.cpp."""
    from generation.decoding.rivals import OwnEngine, TransformersEngine

    return {
        OURS: ours,
        PLAIN: OwnEngine(model, drafts=False, clock=clock),
        TRANSFORMERS: TransformersEngine(folder, "float32", clock),
    }


def llama_cpp_engines(gguf: Path, threads: int, scratch: Path, clock: Clock) -> dict[str, Engine]:
    """llama.cpp with a file as it is and in other formats, which are written to ``scratch``.

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
    """
    from generation.decoding.rivals import LlamaCppEngine

    found: dict[str, Engine] = {f"{LLAMA_CPP} {gguf.stem[-4:]}": LlamaCppEngine(gguf, threads, clock=clock)}
    for kind in _REQUANTISED:
        found[f"{LLAMA_CPP} {kind}"] = LlamaCppEngine(gguf, threads, (kind, scratch), clock)
    return found


def prompts(roots: Sequence[Path], encode: Callable[[str], Sequence[int]], tokens: int, count: int) -> list[list[int]]:
    """The first tokens of the first file of each repository that is long enough; at most ``count``."""
    found = (_prompt(root, encode, tokens) for root in roots)
    return [prompt for prompt in found if prompt][:count]


def measure(
    competitors: Mapping[str, Engine],
    prompts_of: Mapping[int, Sequence[Sequence[int]]],
    written_tokens: int,
    report: Callable[[str], None],
) -> list[Row]:
    """Let every engine continue every prompt.

    Args:
        competitors: engines by name.
        prompts_of: prompts by their length.
        written_tokens: written behind each.
        report: told what is measured now.
    """
    rows: list[Row] = []
    runs = itertools.count()
    for length, prompts_here in prompts_of.items():
        timings: dict[str, list[Timing]] = {name: [] for name in competitors}
        for number, prompt in enumerate(prompts_here):
            for name, engine in competitors.items():
                report(f"{length} tokens, prompt {number + 1} of {len(prompts_here)}: {name}")
                timings[name].append(engine.write(_unread(prompt, next(runs)), written_tokens))
        rows += [_row(name, length, written_tokens, found) for name, found in timings.items()]
    return rows


def keystroke_share(engine: Engine, prompt: Sequence[int]) -> float:
    """Time to the first token with one more token behind a prompt just read, against that of the prompt itself."""
    first = engine.write(prompt[:-1], 1)
    return engine.write(prompt, 1).read_s / first.read_s


def _unread(prompt: Sequence[int], number: int) -> list[int]:
    """The prompt behind a first token of its own, so that no engine can reuse what it read before."""
    return [number, *prompt[1:]]


def ratios(rows: Sequence[Row]) -> dict[str, float]:
    """Ours against the best of the others, at every length: speed of reading, of writing, and of both together."""
    found = {}
    for length in sorted({row.prompt_tokens for row in rows}):
        here = {row.engine: row for row in rows if row.prompt_tokens == length}
        ours = here[OURS]
        for rival in (TRANSFORMERS, LLAMA_CPP):
            others = [row for name, row in here.items() if name.startswith(rival)]
            if others:
                key = f"{length}" if rival == LLAMA_CPP else f"{length}_transformers"
                found[f"prefill_{key}"] = ours.read_tokens_per_s / max(row.read_tokens_per_s for row in others)
                found[f"decode_{key}"] = ours.write_tokens_per_s / max(row.write_tokens_per_s for row in others)
                found[f"request_{key}"] = min(row.total_s for row in others) / ours.total_s
    return {name: round(value, 3) for name, value in found.items()}


def perplexity(model: LanguageModel, texts: Sequence[Sequence[int]]) -> float:
    """How surprised a model is by each next token of some texts, their first tokens aside."""
    from generation.decoding.rivals import token_losses

    losses = [loss for text in texts for loss in token_losses(model, text)]
    return math.exp(statistics.fmean(losses))


def resident_mb() -> float:
    """Memory of this process."""
    return float(psutil.Process().memory_info().rss / 1e6)


def _prompt(root: Path, encode: Callable[[str], Sequence[int]], tokens: int) -> list[int]:
    for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix()):
        if tokens * 3 < path.stat().st_size < _FILE_BYTES:
            found = list(encode(path.read_text(encoding="utf-8", errors="replace")))
            if len(found) >= tokens:
                return found[:tokens]
    return []


def _row(name: str, length: int, written_tokens: int, timings: Sequence[Timing]) -> Row:
    def median(value: Callable[[Any], float]) -> float:
        return statistics.median(map(value, timings))

    return Row(
        name,
        length,
        length / median(lambda timing: timing.read_s),
        (written_tokens - 1) / median(lambda timing: timing.write_s),
        median(lambda timing: timing.read_s + timing.write_s),
    )
