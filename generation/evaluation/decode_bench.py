"""How quick the model is: ours, with and without drafts, against transformers and llama.cpp, on real files.

Engines take turns on each prompt, so that a busy moment of the machine meets all of them; medians are compared as
ratios. Knows no implementation but by name. Start reading at ``measure``.
"""

from __future__ import annotations

import itertools
import math
import re
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
GUESSING = "int8, drafts, prompt tokens"
_REQUANTISED = ("Q4_0", "Q4_1", "Q8_0")
_FILE_BYTES = 200_000  # larger files are tables
_EDITED_TOKENS = 40
_MOST_CHARACTERS = 6  # of a token, on average over a file
_HEADER = re.compile(r"^ *def [^\n]*:\n", re.MULTILINE)
KINDS = ("completion", "edit", "body")


@dataclass(frozen=True, slots=True)
class Row:
    """Medians of one engine at one length of the prompt."""

    engine: str
    threads: int
    prompt_tokens: int
    read_tokens_per_s: float
    write_tokens_per_s: float
    total_s: float


def own_engine(model: LanguageModel, clock: Clock) -> Engine:
    """Ours, with drafts."""
    from generation.decoding.rivals import OwnEngine

    return OwnEngine(model, drafts=True, clock=clock)


def own_engines(model: LanguageModel, clock: Clock) -> dict[str, Engine]:
    """Ours, with drafts and without."""
    from generation.decoding.rivals import OwnEngine

    return {OURS: own_engine(model, clock), PLAIN: OwnEngine(model, drafts=False, clock=clock)}


def guessing_engine(model: Any, adapter: Path, clock: Clock) -> dict[str, Engine]:
    """Ours, with drafts and the prompt tokens of the model's adapter, whether they pay or not; none where it has none.

    Args:
        model: of our own kernels; it is changed, so nothing else may be measured with it.
        adapter: its folder.
        clock: in seconds.
    """
    from generation.decoding.drafts.prompt_tokens import read_prompt_tokens

    trained = read_prompt_tokens(adapter)
    if trained is None:
        return {}
    model.use_prompt_tokens(trained, forced=True)
    return {GUESSING: own_engine(model, clock)}


def transformers_engine(folder: Path, threads: int, clock: Clock) -> dict[str, Engine]:
    """What transformers does in float32."""
    from generation.decoding.rivals import TransformersEngine

    return {TRANSFORMERS: TransformersEngine(folder, "float32", threads, clock)}


def llama_cpp_engines(folder: Path, threads: int, scratch: Path, clock: Clock) -> dict[str, Engine]:
    """llama.cpp with the weights of a model folder in its formats, which are written to ``scratch``.

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
        ModelLoadError: the weights cannot be written as it wants them.
    """
    from generation.decoding.gguf_export import export
    from generation.decoding.rivals import LlamaCppEngine

    source = scratch / "F16.gguf"
    if not source.is_file():
        export(folder, source)
    names = {kind: f"{LLAMA_CPP} {kind}" for kind in _REQUANTISED}
    return {name: LlamaCppEngine(source, threads, (kind, scratch), clock) for kind, name in names.items()}


def prompts(roots: Sequence[Path], encode: Callable[[str], Sequence[int]], tokens: int, count: int) -> list[list[int]]:
    """Of as many repositories a prompt each, by turns to complete a file, to edit a function and to write a body.

    An edit begins to write again what stands in the middle of the prompt; a body begins behind a function's header.
    """
    found: list[list[int]] = []
    for root in roots:
        if len(found) < count and (prompt := _prompt(root, encode, tokens, KINDS[len(found) % len(KINDS)])):
            found.append(prompt)
    return found


def measure(
    competitors: Mapping[str, Engine],
    prompts_of: Mapping[int, Sequence[Sequence[int]]],
    written_tokens: int,
    threads: int,
    report: Callable[[str], None],
) -> list[Row]:
    """Let every engine continue every prompt.

    Args:
        competitors: engines by name.
        prompts_of: prompts by their length.
        written_tokens: written behind each.
        threads: of all engines.
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
        rows += [_row(name, threads, length, written_tokens, found) for name, found in timings.items()]
    return rows


def keystroke_share(engine: Engine, prompt: Sequence[int]) -> float:
    """Time to the first token with one more token behind a prompt just read, against that of the prompt itself."""
    first = engine.write(prompt[:-1], 1)
    return engine.write(prompt, 1).read_s / first.read_s


def _unread(prompt: Sequence[int], number: int) -> list[int]:
    """The prompt behind a first token of its own, so that no engine can reuse what it read before."""
    return [number, *prompt[1:]]


def ratios(rows: Sequence[Row]) -> dict[str, float]:
    """Ours against the best of the others, with any number of threads, at every length.

    Speed of reading, of writing, and of both together; ``cold_request`` is the last at 2,000 tokens.
    """
    found = {}
    for length in sorted({row.prompt_tokens for row in rows}):
        ours = [row for row in rows if row.prompt_tokens == length and row.engine == OURS]
        for rival in (TRANSFORMERS, LLAMA_CPP):
            others = [row for row in rows if row.prompt_tokens == length and row.engine.startswith(rival)]
            if others and ours:
                key = f"{length}" if rival == LLAMA_CPP else f"{length}_transformers"
                found[f"prefill_{key}"] = _best(ours, "read_tokens_per_s") / _best(others, "read_tokens_per_s")
                found[f"decode_{key}"] = _best(ours, "write_tokens_per_s") / _best(others, "write_tokens_per_s")
                found[f"request_{key}"] = min(row.total_s for row in others) / min(row.total_s for row in ours)
    if "request_2000" in found:
        found["cold_request"] = found["request_2000"]
    return {name: round(value, 3) for name, value in found.items()}


def _best(rows: Sequence[Row], speed: str) -> float:
    return max(float(getattr(row, speed)) for row in rows)


def perplexity(model: LanguageModel, texts: Sequence[Sequence[int]]) -> float:
    """How surprised a model is by each next token of some texts, their first tokens aside."""
    from generation.decoding.rivals import token_losses

    losses = [loss for text in texts for loss in token_losses(model, text)]
    return math.exp(statistics.fmean(losses))


def resident_mb() -> float:
    """Memory of this process."""
    return float(psutil.Process().memory_info().rss / 1e6)


def _prompt(root: Path, encode: Callable[[str], Sequence[int]], tokens: int, kind: str) -> list[int]:
    for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix()):
        if tokens * 3 < path.stat().st_size < _FILE_BYTES:
            text = path.read_text(encoding="utf-8", errors="replace")
            if kind == "body":
                ends = (match.end() for match in _HEADER.finditer(text) if match.end() > _MOST_CHARACTERS * tokens)
                text = text[: next(ends, 0)][-_MOST_CHARACTERS * tokens :]
                found = list(encode(text))[-tokens:]
            else:
                found = list(encode(text[: _MOST_CHARACTERS * tokens]))[:tokens]
            if len(found) == tokens:
                return found if kind != "edit" else _edit(found)
    return []


def _edit(token_ids: list[int]) -> list[int]:
    middle = len(token_ids) // 2
    return token_ids[:-_EDITED_TOKENS] + token_ids[middle : middle + _EDITED_TOKENS]


def _row(name: str, threads: int, length: int, written_tokens: int, timings: Sequence[Timing]) -> Row:
    def median(value: Callable[[Any], float]) -> float:
        return statistics.median(map(value, timings))

    return Row(
        name,
        threads,
        length,
        length / median(lambda timing: timing.read_s),
        (written_tokens - 1) / median(lambda timing: timing.write_s),
        median(lambda timing: timing.read_s + timing.write_s),
    )
