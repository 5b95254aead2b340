"""What ``memberwise bench gpu`` measures: our GPU path, transformers on the same weights, and what the memory allows.

A part that fails, or for which there is no time left, is told and left out. On a CPU the same code
runs with tiny models (``subjects.TINY``); its numbers then mean nothing. Knows no terminal. Start reading at
``measure``.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from generation.decoding.gpu import reference
from generation.decoding.gpu.measures_long import long_engines, long_row, longest_fitting, selection_rows
from generation.decoding.gpu.subjects import NetworkEngine, Plan, Subject, default_subject, large_subject, tokenizer_of
from generation.decoding.gpu.timing import ROUNDS, UNCOUNTED, repeated_ms, timed_s
from generation.decoding.llama.model import LlamaModel
from generation.decoding.rivals import Engine, OwnEngine
from generation.decoding.step_costs import measure as measure_costs
from generation.interfaces import Tell, Tokenizer
from generation.types import Draft

if TYPE_CHECKING:
    from generation.interfaces import Logits

Encode = Callable[[str], list[int]]
Row = dict[str, Any]

TABLES = ("agreement", "speed", "long", "drafts", "together", "selection")
_COST_CONTEXTS = (64, 1024)  # tokens behind which forwards are timed
_AGREEING = 16  # rows that are compared
_COMPILING_S = 150  # at most, about
_COMPILED = "transformers, compiled with a static cache"


class Report:
    """Rows as they are found, by table; what failed, in words."""

    def __init__(self, tell: Tell) -> None:
        self.tables: dict[str, list[Row]] = {name: [] for name in TABLES}
        self.left_out: list[str] = []
        self.started = time.perf_counter()
        self._tell = tell

    def part(self, table: str, name: str, found: Callable[[], Row | list[Row]]) -> None:
        """Measure and add rows to a table."""
        self._tell(f"{time.perf_counter() - self.started:.0f} s: {table}, {name}")
        try:
            rows = found()
        except Exception as error:  # noqa: BLE001 - the others are still worth measuring
            first = (str(error) or repr(error)).splitlines()[0]
            self.left_out.append(f"{table}, {name}: {type(error).__name__}: {first}")
        else:
            self.tables[table] += rows if isinstance(rows, list) else [rows]

    def has_time(self, plan: Plan, name: str) -> bool:
        """Whether compiling may begin; else it is told."""
        enough = time.perf_counter() - self.started + _COMPILING_S <= plan.budget_s
        if not enough:
            self.left_out.append(f"speed, {name}: not begun, for there is too little time")
        return enough


def measure(plan: Plan, prompts: Callable[[Encode, int], list[list[int]]], tell: Tell) -> dict[str, Any]:
    """Measure everything.

    Args:
        plan: how much.
        prompts: given an encoder and a length, prompts of repository code.
        tell: is told what is measured now.
    """
    report = Report(tell)
    bandwidth = bandwidth_gb_per_s(plan)
    for context_tokens in (*plan.contexts, longest_fitting(plan)):
        report.part("selection", f"{context_tokens} tokens", partial(selection_rows, plan, context_tokens, bandwidth))
    tokenizer = tokenizer_of(plan)
    texts = prompts(tokenizer.encode, plan.prompt_tokens)
    report.part("speed", "the default model", partial(_measure_default, plan, tokenizer, texts, bandwidth, report))
    gc.collect()  # its memory is needed
    report.part("long", "the large model", partial(_measure_large, plan, tokenizer, texts[0], bandwidth, report))
    gc.collect()
    # Last, though the default model is loaded again: where recording beside other threads fails, what follows does too.
    report.part("together", "the default model", partial(_measure_together, plan, tokenizer, texts[0]))
    return {
        "device": torch.cuda.get_device_name() if plan.device.type == "cuda" else "CPU",
        "torch": torch.__version__,
        "dtype": str(plan.dtype).removeprefix("torch."),
        "bandwidth_gb_per_s": round(bandwidth, 1),
        "seconds": round(time.perf_counter() - report.started, 1),
        "left_out": report.left_out,
        **report.tables,
    }


# --------------------------------------------------------------------------------------------------------- each part


def bandwidth_gb_per_s(plan: Plan) -> float:
    """What the device's memory moves in a second: the best of a copy, a product that is written and a sum."""
    source = torch.ones(plan.copied_bytes // 4, dtype=torch.float32, device=plan.device)
    target = torch.empty_like(source)
    moved: list[tuple[int, Callable[[], object]]] = [
        (2, lambda: target.copy_(source)), (2, lambda: torch.mul(source, 3, out=target)), (1, source.sum)
    ]  # fmt: skip
    return max(times * plan.copied_bytes / repeated_ms(call, plan.device) / 1e6 for times, call in moved)


def agreement_rows(subject: Subject, prompt: Sequence[int]) -> list[Row]:
    """How far logits of a draft behind a prompt are from those of transformers, and how often both choose alike.

    Three times: as graphs replay it, as kernels compute it, and by plain torch. What differs shows which is wrong.
    """
    with torch.no_grad():
        ids = torch.tensor([list(prompt)], device=subject.weights.embedding.device)
        expected = subject.network(input_ids=ids).logits[0, -_AGREEING:].float().cpu().numpy()
    models = {
        "graphs": subject.model(), "kernels": subject.model(record=False),
        "plain torch": subject.model(record=False, operations=reference),
    }  # fmt: skip
    rows = []
    for name, model in models.items():
        logits = [_scored(model, prompt) for _ in range(UNCOUNTED)][-1]  # which is replayed
        same = (logits.argmax(-1) == expected.argmax(-1)).mean()
        distance = np.abs(logits - expected).mean() / expected.std()
        rows.append({
            "model": subject.name, "by": name, "rows": _AGREEING,
            "same_choice": round(float(same), 3), "distance_in_deviations": round(float(distance), 5),
        })  # fmt: skip
    return rows


def _measure_default(
    plan: Plan, tokenizer: Tokenizer, texts: Sequence[Sequence[int]], bandwidth: float, report: Report
) -> list[Row]:
    """Agreement, speeds and drafts; adds them itself."""
    subject = default_subject(plan, tokenizer)
    report.part("agreement", subject.name, partial(agreement_rows, subject, texts[0]))
    _measure_speeds(plan, subject, texts[0], bandwidth, report)
    for number, text in enumerate(texts, start=1):
        report.part("drafts", f"prompt {number}", partial(drafts_row, plan, subject, text))
    return []


def _measure_together(plan: Plan, tokenizer: Tokenizer, text: Sequence[int]) -> Row:
    return together_row(plan, default_subject(plan, tokenizer), text)


def _measure_large(
    plan: Plan, tokenizer: Tokenizer, text: Sequence[int], bandwidth: float, report: Report
) -> list[Row]:
    """Speeds, and steps behind long contexts; adds them itself."""
    subject = large_subject(plan, tokenizer)
    engines = long_engines(plan, subject)
    for context_tokens in plan.contexts:
        found = partial(long_row, plan, subject, engines, context_tokens, bandwidth)
        report.part("long", f"{context_tokens} tokens", found)
    _measure_speeds(plan, subject, text, bandwidth, report)
    return []


def _scored(model: LlamaModel, prompt: Sequence[int]) -> Logits:
    state = model.start(prompt[:-_AGREEING])
    logits = state.score(Draft.chain(prompt[-_AGREEING:]))
    state.close()
    return logits


def _measure_speeds(plan: Plan, subject: Subject, prompt: Sequence[int], bandwidth: float, report: Report) -> None:
    """Ours and transformers; what compiles comes last, for it may last long."""
    engines: dict[str, Callable[[], Engine]] = {
        "ours": lambda: OwnEngine(subject.model(), drafts=False),
        "ours, without graphs": lambda: OwnEngine(subject.model(record=False), drafts=False),
        "transformers, eager": lambda: NetworkEngine(subject.network, static=False),
        _COMPILED: lambda: NetworkEngine(subject.network, static=True),
    }
    for name, engine in engines.items():
        if name != _COMPILED or report.has_time(plan, f"{subject.name}, {name}"):
            found = partial(speed_row, plan, subject, name, engine, prompt, bandwidth)
            report.part("speed", f"{subject.name}, {name}", found)


def speed_row(
    plan: Plan, subject: Subject, name: str, engine: Callable[[], Engine], prompt: Sequence[int], bandwidth: float
) -> Row:
    """How quickly an engine reads a prompt and writes behind it; first runs compile and record, and do not count."""
    made, count = engine(), plan.written_tokens
    timings = [made.write(prompt, count) for _ in range(UNCOUNTED + ROUNDS)][UNCOUNTED:]
    read_s = statistics.median(one.read_s for one in timings)
    written = (count - 1) / statistics.median(one.write_s for one in timings)
    limit = 1000 / subject.limit_ms(bandwidth, len(prompt) + count // 2)
    return {
        "model": subject.name, "engine": name, "prompt_tokens": len(prompt),
        "reads_tokens_per_s": round(len(prompt) / read_s), "writes_tokens_per_s": round(written, 1),
        "limit_tokens_per_s": round(limit, 1), "share_of_limit": round(written / limit, 3),
    }  # fmt: skip


def drafts_row(plan: Plan, subject: Subject, prompt: Sequence[int]) -> Row:
    """Writing with drafts, as long as the measured costs of this GPU make them, and without."""
    model = subject.model()
    model.step_costs = measure_costs(model.network.blank_forward(), _COST_CONTEXTS)
    found = {}
    for drafts in (False, True):
        engine = OwnEngine(model, drafts=drafts)
        timings = [engine.write(prompt, plan.written_tokens) for _ in range(UNCOUNTED + ROUNDS)][UNCOUNTED:]
        found[drafts] = statistics.median(one.write_s for one in timings), timings[-1].token_ids
    (plain_s, plain), (drafted_s, drafted) = found[False], found[True]
    return {
        "model": subject.name, "prompt_tokens": len(prompt),
        "plain_tokens_per_s": round(plan.written_tokens / plain_s, 1),
        "drafts_tokens_per_s": round(plan.written_tokens / drafted_s, 1),
        "ratio": round(plain_s / drafted_s, 2), "same_text": plain == drafted,
    }  # fmt: skip


def together_row(plan: Plan, subject: Subject, prompt: Sequence[int]) -> Row:
    """Several requests, prompts included, one after the other and at the same time."""
    model, shared = subject.model(), subject.model().shared()

    def requests(first: int) -> list[list[int]]:
        return [[first + number, *prompt[1:]] for number in range(plan.together)]  # none starts like another

    alone, meeting = OwnEngine(model, drafts=False), OwnEngine(shared, drafts=False)
    taken = {True: 0.0, False: 0.0}
    for round_number in range(UNCOUNTED + 1):  # the last counts
        texts = requests(plan.together * round_number)
        taken[False] = timed_s(lambda: [alone.write(text, plan.written_tokens) for text in texts])  # noqa: B023
        with ThreadPoolExecutor(plan.together) as threads:
            write = partial(meeting.write, count=plan.written_tokens)
            taken[True] = timed_s(lambda: list(threads.map(write, texts)))  # noqa: B023
    written = plan.together * plan.written_tokens
    return {
        "model": subject.name, "sequences": plan.together,
        "alone_tokens_per_s": round(written / taken[False], 1),
        "together_tokens_per_s": round(written / taken[True], 1),
        "ratio": round(taken[False] / taken[True], 2),
    }  # fmt: skip
