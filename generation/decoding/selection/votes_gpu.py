"""The votes of ``reference.votes`` as Triton kernels, for keys that lie on a GPU.

Keys are read once; the scores of all query heads go to memory and are summed up in a second pass. Triton's interpreter
runs the same code on a CPU (``TRITON_INTERPRET=1``) and its compiler needs no GPU, which is how it is tested. Start
reading at ``votes``.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

_BLOCK = 128  # keys of a program


@triton.jit(do_not_specialize=["count"])  # type: ignore[untyped-decorator, unused-ignore]
def _score(  # noqa: PLR0913, PLR0917 - a kernel has no objects
    queries: tl.tensor, keys: tl.tensor, scores: tl.tensor, peaks: tl.tensor, totals: tl.tensor,
    count: tl.tensor, scale: tl.tensor,
    key_heads: tl.constexpr, group: tl.constexpr, size: tl.constexpr, block: tl.constexpr,
) -> None:  # fmt: skip
    """Scores (H, N) of one block of keys for the query heads of one key head, with their largest and their sum."""
    number, key_head = tl.program_id(0), tl.program_id(1)
    blocks = tl.num_programs(0)
    rows = number * block + tl.arange(0, block)
    channels = tl.arange(0, size)
    inside = rows < count
    places = (rows[:, None] * key_heads + key_head) * size + channels[None, :]
    key = tl.load(keys + places, mask=inside[:, None], other=0.0).to(tl.float32)
    for member in tl.static_range(group):
        head = key_head * group + member  # heads of a group lie side by side
        query = tl.load(queries + head * size + channels).to(tl.float32)
        score = tl.sum(key * query[None, :], axis=1) * scale
        score = tl.where(inside, score, float("-inf"))
        peak = tl.max(score, axis=0)
        tl.store(scores + head * count + rows, score, mask=inside)
        tl.store(peaks + head * blocks + number, peak)
        tl.store(totals + head * blocks + number, tl.sum(tl.exp(score - peak), axis=0))


@triton.jit(do_not_specialize=["count"])  # type: ignore[untyped-decorator, unused-ignore]
def _vote(
    scores: tl.tensor, levels: tl.tensor, found: tl.tensor, count: tl.tensor, heads: tl.constexpr, block: tl.constexpr
) -> None:
    """Votes (N,) of one block of keys: the sum over heads of e to the score less the head's level."""
    rows = tl.program_id(0) * block + tl.arange(0, block)
    inside = rows < count
    total = tl.zeros((block,), tl.float32)
    for head in tl.static_range(heads):
        score = tl.load(scores + head * count + rows, mask=inside, other=float("-inf"))
        total += tl.exp(score - tl.load(levels + head))
    tl.store(found + rows, total, mask=inside)


def votes(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """What each of N keys is worth, (N,) float32.

    Args:
        queries: (H, D), D a power of two, of one token, not rotated; contiguous.
        keys: (N, G, D), not rotated; contiguous.
    """
    (heads, size), (count, key_heads, _) = queries.shape, keys.shape
    blocks = triton.cdiv(count, _BLOCK)
    scores = torch.empty((heads, count), dtype=torch.float32, device=keys.device)
    peaks, totals = torch.empty((2, heads, blocks), dtype=torch.float32, device=keys.device)
    _score[(blocks, key_heads)](
        queries, keys, scores, peaks, totals, count, size**-0.5, key_heads, heads // key_heads, size, _BLOCK
    )
    levels = torch.logsumexp(peaks + totals.log(), -1)
    found = torch.empty(count, dtype=torch.float32, device=keys.device)
    _vote[(blocks,)](scores, levels, found, count, heads, _BLOCK)
    return found
