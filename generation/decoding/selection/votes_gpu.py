"""The votes of ``reference.block_votes`` as Triton kernels, for keys that lie in the slots of a GPU.

Keys are read once, where they lie; the scores of all query heads go to memory and are summed up in a second pass.
Triton's interpreter runs the same code on a CPU (``TRITON_INTERPRET=1``) and its compiler needs no GPU, which is how it
is tested. Start reading at ``block_votes``.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from generation.decoding.selection.settings import BLOCK

_KEYS = 128  # of a program
_LEAST = 16  # of what is multiplied


@triton.jit(do_not_specialize=["count"])  # type: ignore[untyped-decorator, unused-ignore]
def _score(  # noqa: PLR0913, PLR0917 - a kernel has no objects
    queries: tl.tensor, keys: tl.tensor, slots: tl.tensor,
    scores: tl.tensor, peaks: tl.tensor, totals: tl.tensor, count: tl.tensor, scale: tl.tensor,
    key_heads: tl.constexpr, group: tl.constexpr, group_padded: tl.constexpr, size: tl.constexpr,
    size_padded: tl.constexpr, block: tl.constexpr,
) -> None:  # fmt: skip
    """Scores (G, queries, N) of some keys for all queries of one key head, with their largest and their sum."""
    number, key_head = tl.program_id(0), tl.program_id(1)
    blocks = tl.num_programs(0)
    places = number * block + tl.arange(0, block)
    channels = tl.arange(0, size_padded)
    inside, inside_head = places < count, channels < size
    slot = tl.load(slots + places, mask=inside, other=0)
    address = (slot * key_heads + key_head) * size
    key = tl.load(keys + address[None, :] + channels[:, None], mask=inside[None, :] & inside_head[:, None], other=0.0)
    member = tl.arange(0, group_padded)
    head = key_head * group + member
    there = member < group
    query_places = queries + head[:, None] * size + channels[None, :]
    query = tl.load(query_places, mask=there[:, None] & inside_head[None, :], other=0.0)
    score = tl.dot(query, key, input_precision="ieee") * scale
    score = tl.where(inside[None, :], score, float("-inf"))
    peak = tl.max(score, axis=1)
    target = head.to(tl.int64)[:, None] * count + places[None, :]
    tl.store(scores + target, score, mask=there[:, None] & inside[None, :])
    tl.store(peaks + head * blocks + number, peak, mask=there)
    tl.store(totals + head * blocks + number, tl.sum(tl.exp(score - peak[:, None]), axis=1), mask=there)


@triton.jit(do_not_specialize=["count", "queries"])  # type: ignore[untyped-decorator, unused-ignore]
def _vote(
    scores: tl.tensor, levels: tl.tensor, found: tl.tensor, count: tl.tensor, queries: tl.tensor,
    blocks: tl.constexpr, block: tl.constexpr,
) -> None:  # fmt: skip
    """Votes of some blocks of keys: the sum over keys and queries of e to the score less the query's level."""
    first = tl.program_id(0) * blocks
    places = first * block + tl.arange(0, blocks * block)
    inside = places < count
    total = tl.zeros((blocks * block,), tl.float32)
    for query in range(queries):
        score = tl.load(scores + tl.cast(query, tl.int64) * count + places, mask=inside, other=float("-inf"))
        total += tl.exp(score - tl.load(levels + query))
    number = first + tl.arange(0, blocks)
    tl.store(found + number, tl.sum(tl.reshape(total, (blocks, block)), axis=1), mask=number < count // block)


def block_votes(queries: torch.Tensor, keys: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
    """What each block of keys is worth, (N // BLOCK,) float32.

    Args:
        queries: (R, H, D), not rotated.
        keys: (all slots, G, D), not rotated; contiguous.
        slots: (N,).
    """
    (rows, heads, size), key_heads, count = queries.shape, keys.shape[1], len(slots)
    group = rows * heads // key_heads  # all queries of a key head lie side by side
    grouped = queries.view(rows, key_heads, -1, size).transpose(0, 1).to(keys.dtype).contiguous()
    parts = triton.cdiv(count, _KEYS)
    scores = torch.empty((key_heads * group, count), dtype=torch.float32, device=keys.device)
    peaks, totals = torch.empty((2, key_heads * group, parts), dtype=torch.float32, device=keys.device)
    _score[(parts, key_heads)](
        grouped, keys, slots, scores, peaks, totals, count, size**-0.5,
        key_heads, group, _padded(group), size, _padded(size), _KEYS,
    )  # fmt: skip
    levels = torch.logsumexp(peaks + totals.log(), -1)
    found = torch.empty(count // BLOCK, dtype=torch.float32, device=keys.device)
    _vote[(triton.cdiv(count, _KEYS),)](scores, levels, found, count, len(scores), _KEYS // BLOCK, BLOCK)
    return found


def _padded(count: int) -> int:
    return max(_LEAST, int(triton.next_power_of_2(count)))
