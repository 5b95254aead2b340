"""What ``memberwise bench gpu`` measures of long contexts: everything in sight, against a chosen list.

``selection_rows`` times attention in one layer, ``long_row`` a whole model from the prompt on. Knows no terminal.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from generation.decoding.gpu.batch import Batch, size_of
from generation.decoding.gpu.long_rows import votes_for
from generation.decoding.gpu.network import operations_for
from generation.decoding.gpu.slots import PAGE_SLOTS, SequenceSlots, SlotPool, page_bytes
from generation.decoding.gpu.timing import repeated_ms
from generation.decoding.llama.network import Scoring
from generation.decoding.llama.shape import LlamaShape, read_shape
from generation.decoding.rivals import Engine, OwnEngine
from generation.decoding.selection.reference import best_places
from generation.decoding.selection.settings import BLOCK
from generation.types import Draft

if TYPE_CHECKING:
    from generation.decoding.gpu.subjects import Plan, Subject

Row = dict[str, Any]

_EVERYTHING, _CHOSEN = "everything", "chosen"


# ------------------------------------------------------------------------------------------------ attention of a layer


def longest_fitting(plan: Plan) -> int:
    """The largest power of two of tokens whose keys and values fit on the device beside the weights of the large shape.

    Without a GPU, twice the longest context of the plan.
    """
    if plan.device.type != "cuda":
        return 2 * max(plan.contexts)
    shape = _large_shape(plan)
    layer = shape.hidden * (shape.qkv_channels + shape.heads * shape.head_size + 3 * shape.intermediate)
    weights = shape.layers * layer + 2 * shape.vocabulary * shape.hidden
    free = torch.cuda.mem_get_info(plan.device)[0] - weights * plan.dtype.itemsize
    tokens = free // (page_bytes(shape, plan.dtype) // PAGE_SLOTS)
    return 1 << (tokens.bit_length() - 1)


@torch.no_grad()
def selection_rows(plan: Plan, context_tokens: int, bandwidth: float) -> list[Row]:
    """One token that is written, and a chunk of a prompt: attention over everything, over a list, and choosing that.

    Everything is looked at by our kernel or by torch's, whichever is quicker. One choice serves ``step`` written tokens
    or one chunk, which is how ``ratio`` counts it; ``ratio_chosen_anew`` counts a whole choice for one token.

    Args:
        plan: of which shape, settings and device.
        context_tokens: that are there.
        bandwidth: of the device's memory, GB/s.
    """
    settings = plan.selection
    shape = replace(_large_shape(plan), layers=1)
    pool = SlotPool(shape, -(-context_tokens // PAGE_SLOTS) + 3, plan.dtype, plan.device)
    pool.keys.normal_()
    pool.values.normal_()
    rows = []
    for queried, shared_by in ((1, settings.step), (settings.chunk, 1)):
        if queried > context_tokens:
            continue
        queries = torch.randn((queried, shape.heads, shape.head_size), dtype=plan.dtype, device=plan.device)
        listed = min(settings.least_tokens + (queried if queried > 1 else 0), context_tokens)
        ours_ms, list_ms = (_attention_ms(plan, pool, queries, tokens) for tokens in (context_tokens, listed))
        choosing_ms = _choosing_ms(plan, pool, queries[:1], context_tokens)
        torch_ms = _torch_attention_ms(plan, pool, queries, context_tokens)
        everything_ms = min(ours_ms, torch_ms)
        read_bytes = 2 * context_tokens * shape.key_heads * shape.head_size * plan.dtype.itemsize
        rows.append({
            "context_tokens": context_tokens, "tokens": queried,
            "everything_ms": round(ours_ms, 4), "everything_torch_ms": round(torch_ms, 4),
            "memory_limit_ms": round(read_bytes / bandwidth / 1e6, 4),
            "list_ms": round(list_ms, 4), "choosing_ms": round(choosing_ms, 4),
            "ratio": round(everything_ms / (list_ms + choosing_ms / shared_by), 2),
            "ratio_chosen_anew": round(everything_ms / (list_ms + choosing_ms), 2),
        })  # fmt: skip
    return rows


def _large_shape(plan: Plan) -> LlamaShape:
    family = {"model_type": "qwen2", "hidden_act": "silu", "use_sliding_window": False, "rms_norm_eps": 1e-6}
    shape = read_shape({**family, **plan.large})
    assert shape is not None
    return shape


def _choosing_ms(plan: Plan, pool: SlotPool, queries: torch.Tensor, tokens: int) -> float:
    """Of votes, the best of them, and copying their keys and values."""
    count = min(plan.selection.chosen, tokens // BLOCK * BLOCK)
    slots = torch.arange(PAGE_SLOTS, PAGE_SLOTS + tokens, device=plan.device)
    votes = votes_for(plan.device)

    def choose() -> tuple[torch.Tensor, torch.Tensor]:
        chosen = slots[best_places(votes(queries, pool.keys[0], slots), count)]
        return pool.keys[0].index_select(0, chosen), pool.values[0].index_select(0, chosen)

    return repeated_ms(choose, plan.device)


def _attention_ms(plan: Plan, pool: SlotPool, queries: torch.Tensor, tokens: int) -> float:
    """Of the last of so many tokens, by our kernel."""
    cache = SequenceSlots(pool)
    cache.reserve(tokens)
    cache.length = tokens - len(queries)
    scorings = [Scoring(cache, Draft.chain([0] * len(queries)), 1)]
    batch = Batch(size_of(scorings), len(cache.pages), plan.device)
    batch.fill(scorings)
    operations = operations_for(plan.device)
    return repeated_ms(lambda: operations.attend(queries, pool.keys[0], pool.values[0], batch), plan.device)


def _torch_attention_ms(plan: Plan, pool: SlotPool, queries: torch.Tensor, tokens: int) -> float:
    """By torch's own attention, which gets keys and values that lie together and need no mask."""
    attention = torch.nn.functional.scaled_dot_product_attention
    keys, values = (tensor[0, :tokens].transpose(0, 1)[None] for tensor in (pool.keys, pool.values))
    heads = queries.transpose(0, 1)[None]
    return repeated_ms(lambda: attention(heads, keys, values, enable_gqa=True), plan.device)


# ------------------------------------------------------------------------------------------------------ a whole model


def long_engines(plan: Plan, subject: Subject) -> Mapping[str, Engine]:
    """One that sees everything and one that sees a list, both warm: what they run is compiled and recorded."""
    models = {_EVERYTHING: subject.model(), _CHOSEN: subject.model(selection=plan.selection)}
    engines = {name: OwnEngine(model, drafts=False) for name, model in models.items()}
    prompt = _prompt(subject, min(plan.selection.least_tokens + 4 * 1024, max(plan.contexts)))
    for engine in engines.values():
        engine.write(prompt, 3 * plan.selection.step)
    return engines


def long_row(plan: Plan, subject: Subject, engines: Mapping[str, Engine], context_tokens: int, bandwidth: float) -> Row:
    """Read a prompt and write behind it, with everything in sight and with a list, each choosing included."""
    prompt = _prompt(subject, context_tokens)
    row: Row = {"model": subject.name, "context_tokens": context_tokens, "written_tokens": plan.written_tokens}
    longer = context_tokens > plan.selection.least_tokens
    totals, steps = {}, {}
    for name, engine in engines.items():
        if name == _CHOSEN and not longer:
            row |= {f"reads_s_{name}": None, f"step_ms_{name}": None}
            continue
        timing = engine.write(prompt, plan.written_tokens)
        steps[name] = timing.write_s * 1000 / plan.written_tokens
        totals[name] = timing.read_s + timing.write_s
        row |= {f"reads_s_{name}": round(timing.read_s, 3), f"step_ms_{name}": round(steps[name], 3)}
    limit_ms = subject.limit_ms(bandwidth, context_tokens)
    return row | {
        "limit_ms": round(limit_ms, 3), "share_of_limit": round(limit_ms / steps[_EVERYTHING], 3),
        "ratio_of_steps": round(steps[_EVERYTHING] / steps[_CHOSEN], 2) if longer else None,
        "ratio_end_to_end": round(totals[_EVERYTHING] / totals[_CHOSEN], 2) if longer else None,
    }  # fmt: skip


def _prompt(subject: Subject, tokens: int) -> Sequence[int]:
    source = random.Random(tokens)  # none starts like another
    return [source.randrange(subject.weights.shape.vocabulary) for _ in range(tokens)]
