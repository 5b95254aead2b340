"""The votes of ``reference.votes`` as Triton kernels, for keys that lie in the slots of a GPU, several layers at once.

Keys are read once, where they lie; the scores of all query heads go to memory and are summed up in a second pass.
Triton's interpreter runs the same code on a CPU (``TRITON_INTERPRET=1``) and its compiler needs no GPU, which is how it
is tested. Start reading at ``votes``.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

_BLOCK = 128  # keys of a program
_LEAST = 16  # of what is multiplied


@triton.jit(do_not_specialize=["count", "all_slots"])  # type: ignore[untyped-decorator, unused-ignore]
def _score(  # noqa: PLR0913, PLR0917 - a kernel has no objects
    queries: tl.tensor, keys: tl.tensor, layers: tl.tensor, slots: tl.tensor,
    scores: tl.tensor, peaks: tl.tensor, totals: tl.tensor, count: tl.tensor, all_slots: tl.tensor, scale: tl.tensor,
    key_heads: tl.constexpr, group: tl.constexpr, group_padded: tl.constexpr, size: tl.constexpr,
    size_padded: tl.constexpr, block: tl.constexpr,
) -> None:  # fmt: skip
    """Scores (n, H, N) of one block of keys for the query heads of one key head, with their largest and their sum."""
    number, key_head, layer = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    blocks = tl.num_programs(0)
    places = number * block + tl.arange(0, block)
    channels = tl.arange(0, size_padded)
    inside, inside_head = places < count, channels < size
    slot = tl.load(layers + layer) * all_slots + tl.load(slots + places, mask=inside, other=0)
    address = (slot * key_heads + key_head) * size
    key = tl.load(keys + address[None, :] + channels[:, None], mask=inside[None, :] & inside_head[:, None], other=0.0)
    member = tl.arange(0, group_padded)
    head = (layer * key_heads + key_head) * group + member  # heads of a group lie side by side
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


@triton.jit(do_not_specialize=["count"])  # type: ignore[untyped-decorator, unused-ignore]
def _vote(
    scores: tl.tensor, levels: tl.tensor, found: tl.tensor, count: tl.tensor, heads: tl.constexpr, block: tl.constexpr
) -> None:
    """Votes (n, N) of one block of keys: the sum over heads of e to the score less the head's level."""
    places, layer = tl.program_id(0) * block + tl.arange(0, block), tl.program_id(1).to(tl.int64)
    inside = places < count
    total = tl.zeros((block,), tl.float32)
    for head in tl.static_range(heads):
        score = tl.load(scores + (layer * heads + head) * count + places, mask=inside, other=float("-inf"))
        total += tl.exp(score - tl.load(levels + layer * heads + head))
    tl.store(found + layer * count + places, total, mask=inside)


def votes(queries: torch.Tensor, keys: torch.Tensor, layers: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
    """What each of N keys is worth in each of n layers, (n, N) float32.

    Args:
        queries: (n, H, D), of one token, not rotated; contiguous.
        keys: (L, all slots, G, D), not rotated; contiguous.
        layers: (n,).
        slots: (N,).
    """
    (chosen, heads, size), (_, all_slots, key_heads, _) = queries.shape, keys.shape
    count, group = len(slots), heads // key_heads
    blocks = triton.cdiv(count, _BLOCK)
    scores = torch.empty((chosen, heads, count), dtype=torch.float32, device=keys.device)
    peaks, totals = torch.empty((2, chosen, heads, blocks), dtype=torch.float32, device=keys.device)
    _score[(blocks, key_heads, chosen)](
        queries, keys, layers, slots, scores, peaks, totals, count, all_slots, size**-0.5,
        key_heads, group, _padded(group), size, _padded(size), _BLOCK,
    )  # fmt: skip
    levels = torch.logsumexp(peaks + totals.log(), -1)
    found = torch.empty((chosen, count), dtype=torch.float32, device=keys.device)
    _vote[(blocks, chosen)](scores, levels, found, count, heads, _BLOCK)
    return found


def _padded(count: int) -> int:
    return max(_LEAST, int(triton.next_power_of_2(count)))
