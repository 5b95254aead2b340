"""How quick the model is: ours, with and without drafts, against transformers, on the same prompts from real files.

Engines take turns on each prompt, so that a busy moment of the machine meets all of them; medians are compared as
ratios. Knows no implementation but by name. Start reading at ``measure``.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from generation.decoding.rivals import Engine, Timing
    from generation.interfaces import LanguageModel

OURS, PLAIN, RIVAL = "int8 with drafts", "int8", "transformers float32"
_FILE_BYTES = 200_000  # larger files are tables


@dataclass(frozen=True, slots=True)
class Row:
    """Medians of one engine at one length of the prompt."""

    engine: str
    prompt_tokens: int
    read_tokens_per_s: float
    write_tokens_per_s: float
    total_s: float


def own_engine(model: LanguageModel) -> Engine:
    """Ours, with drafts."""
    from generation.decoding.rivals import OwnEngine

    return OwnEngine(model, drafts=True)


def engines(folder: Path, ours: Engine, model: LanguageModel) -> dict[str, Engine]:
    """What is compared, by name."""
    from generation.decoding.rivals import OwnEngine, TransformersEngine

    return {
        OURS: ours,
        PLAIN: OwnEngine(model, drafts=False),
        RIVAL: TransformersEngine(folder, "float32"),
    }


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
    rows = []
    for length, prompts_here in prompts_of.items():
        timings: dict[str, list[Timing]] = {name: [] for name in competitors}
        for number, prompt in enumerate(prompts_here):
            for name, engine in competitors.items():
                report(f"{length} tokens, prompt {number + 1} of {len(prompts_here)}: {name}")
                timings[name].append(engine.write(prompt, written_tokens))
        rows += [_row(name, length, written_tokens, found) for name, found in timings.items()]
    return rows


def keystroke_share(engine: Engine, prompt: Sequence[int]) -> float:
    """Time to the first token with one more token behind a prompt just read, against that of the prompt itself."""
    first = engine.write(prompt[:-1], 1)
    return engine.write(prompt, 1).read_s / first.read_s


def ratios(rows: Sequence[Row]) -> dict[str, float]:
    """Ours against transformers, at every length: speed of reading and writing, and of both together."""
    of = {(row.engine, row.prompt_tokens): row for row in rows}
    found = {}
    for length in sorted({row.prompt_tokens for row in rows}):
        ours, rival = of[OURS, length], of[RIVAL, length]
        found[f"prefill_{length}"] = ours.read_tokens_per_s / rival.read_tokens_per_s
        found[f"decode_{length}"] = ours.write_tokens_per_s / rival.write_tokens_per_s
        found[f"request_{length}"] = rival.total_s / ours.total_s
    return {name: round(value, 3) for name, value in found.items()}


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
