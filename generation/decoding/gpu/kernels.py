"""The operations of ``reference`` as Triton kernels, which read pages where they lie and every key once.

Attention of few rows would leave most of a GPU idle, so the places of a sequence are split among programs, whose
results a second kernel adds up. Lengths, pages and trees are read from memory: one recording serves every length.
Triton's interpreter runs the same code on a CPU (``TRITON_INTERPRET=1``), and its compiler makes code for a GPU without
one: that is how this is tested. Start reading at ``attend``.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from generation.decoding.gpu.batch import RECORD, Batch
from generation.decoding.gpu.slots import PAGE_SLOTS
from generation.decoding.gpu.weights import Layer
from generation.decoding.llama.shape import LlamaShape

_BLOCK_KEYS = 64  # a page holds whole blocks
_MOST_BLOCK_ROWS = 64
_LEAST_BLOCK = 16  # of what is multiplied
_PROGRAMS = 512  # of one attention: some for each processor of a large GPU
_MOST_SPLITS = 64
# Triton compiles anew for an argument that is aligned otherwise, or is 1: not for those that a forward's size changes.


@triton.jit(do_not_specialize_on_alignment=["slots"])  # type: ignore[untyped-decorator, unused-ignore]
def _place(  # noqa: PLR0913, PLR0917 - a kernel has no objects
    qkv: tl.tensor, query_norm: tl.tensor, key_norm: tl.tensor, tables: tl.tensor, slots: tl.tensor,
    queries: tl.tensor, keys: tl.tensor, values: tl.tensor, epsilon: tl.tensor,
    heads: tl.constexpr, key_heads: tl.constexpr, half: tl.constexpr, padded: tl.constexpr, normed: tl.constexpr,
) -> None:  # fmt: skip
    """One head of one row: norm, rotation, and where it goes."""
    row, head = tl.program_id(0), tl.program_id(1)
    rows = tl.num_programs(0)
    channels = tl.arange(0, padded)
    inside = channels < half
    source = qkv + (row * (heads + 2 * key_heads) + head) * 2 * half + channels
    first = tl.load(source, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(source + half, mask=inside, other=0.0).to(tl.float32)
    slot = tl.load(slots + row)
    if head < heads + key_heads:
        if normed:
            norm = query_norm if head < heads else key_norm
            size = tl.sqrt((tl.sum(first * first) + tl.sum(second * second)) / (2 * half) + epsilon)
            # Rounded where the reference rounds, so that both see the same.
            first = (first / size * tl.load(norm + channels, mask=inside, other=0.0)).to(qkv.dtype.element_ty)
            second = (second / size * tl.load(norm + half + channels, mask=inside, other=0.0)).to(qkv.dtype.element_ty)
            first, second = first.to(tl.float32), second.to(tl.float32)
        cosine = tl.load(tables + row * half + channels, mask=inside, other=0.0)
        sine = tl.load(tables + (rows + row) * half + channels, mask=inside, other=0.0)
        first, second = first * cosine - second * sine, second * cosine + first * sine
    if head < heads:
        target = queries + (row * heads + head) * 2 * half
    elif head < heads + key_heads:
        target = keys + (slot * key_heads + head - heads) * 2 * half
    else:
        target = values + (slot * key_heads + head - heads - key_heads) * 2 * half
    tl.store(target + channels, first, mask=inside)
    tl.store(target + half + channels, second, mask=inside)


@triton.jit(  # type: ignore[untyped-decorator, unused-ignore]
    do_not_specialize=["all_rows", "pages"],
    do_not_specialize_on_alignment=["sequences", "enter", "leave", "tables"],
)
def _attend(  # noqa: PLR0913, PLR0915, PLR0917
    queries: tl.tensor, keys: tl.tensor, values: tl.tensor, parts: tl.tensor, levels: tl.tensor,
    sequences: tl.tensor, enter: tl.tensor, leave: tl.tensor, tables: tl.tensor,
    all_rows: tl.tensor, pages: tl.tensor, scale: tl.tensor,
    heads: tl.constexpr, key_heads: tl.constexpr, size: tl.constexpr, padded: tl.constexpr, record: tl.constexpr,
    page_slots: tl.constexpr, block_rows: tl.constexpr, block_keys: tl.constexpr,
) -> None:  # fmt: skip
    """What some rows find for the query heads of one key head among a part of the places of their sequence."""
    tile, pair, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    sequence, key_head = pair // key_heads, pair % key_heads
    group: tl.constexpr = heads // key_heads
    numbers = sequences + sequence * record
    first_row, rows, length = tl.load(numbers), tl.load(numbers + 1), tl.load(numbers + 2)
    first_node, nodes = tl.load(numbers + 3), tl.load(numbers + 4)
    if tile * block_rows >= rows * group:
        return
    member = tile * block_rows + tl.arange(0, block_rows)
    row, head = member // group, key_head * group + member % group
    row_inside = row < rows
    channels = tl.arange(0, padded)
    channel_inside = channels < size
    place = (first_row + row) * heads + head
    query = tl.load(
        queries + place[:, None] * size + channels[None, :],
        mask=row_inside[:, None] & channel_inside[None, :],
        other=0.0,
    )
    own = tl.load(enter + first_node + nodes - rows + row, mask=row_inside, other=0)
    end = length + nodes
    share = tl.cdiv(tl.cdiv(end, tl.num_programs(2)), block_keys) * block_keys
    start = split * share
    stop = tl.minimum(start + share, end)
    peak = tl.full((block_rows,), float("-inf"), tl.float32)
    total = tl.zeros((block_rows,), tl.float32)
    found = tl.zeros((block_rows, padded), tl.float32)
    for block in range(start, stop, block_keys):
        seen = block + tl.arange(0, block_keys)
        inside = seen < stop
        page = tl.load(tables + sequence * pages + block // page_slots)
        slot = page * page_slots + block % page_slots + tl.arange(0, block_keys)
        address = (slot * key_heads + key_head) * size
        node = seen - length
        in_tree = inside & (node >= 0)
        entered = tl.load(enter + first_node + node, mask=in_tree, other=-1)
        left = tl.load(leave + first_node + node, mask=in_tree, other=1 << 40)
        visible = inside[None, :] & (entered[None, :] <= own[:, None]) & (own[:, None] < left[None, :])
        key = tl.load(
            keys + address[None, :] + channels[:, None], mask=inside[None, :] & channel_inside[:, None], other=0.0
        )
        score = tl.where(visible, tl.dot(query, key, input_precision="ieee") * scale, float("-inf"))
        higher = tl.maximum(peak, tl.max(score, axis=1))
        level = tl.where(higher == float("-inf"), 0.0, higher)
        weight = tl.exp(score - level[:, None])
        faded = tl.exp(peak - level)
        total = total * faded + tl.sum(weight, axis=1)
        value = tl.load(
            values + address[:, None] + channels[None, :], mask=inside[:, None] & channel_inside[None, :], other=0.0
        )
        found = found * faded[:, None] + tl.dot(weight.to(value.dtype), value, input_precision="ieee")
        peak = higher
    some = total > 0
    target = split * all_rows * heads + place
    tl.store(levels + target, tl.where(some, peak + tl.log(total), float("-inf")), mask=row_inside)
    tl.store(
        parts + target[:, None] * size + channels[None, :], found / tl.where(some, total, 1.0)[:, None],
        mask=row_inside[:, None] & channel_inside[None, :],
    )  # fmt: skip


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _add_up(
    parts: tl.tensor,
    levels: tl.tensor,
    found: tl.tensor,
    size: tl.constexpr,
    padded: tl.constexpr,
    splits: tl.constexpr,
) -> None:
    """What one head of one row finds in all places, from its parts."""
    place, places = tl.program_id(0), tl.num_programs(0)
    channels = tl.arange(0, padded)
    inside = channels < size
    part = tl.arange(0, splits) * places + place
    level = tl.load(levels + part)
    weight = tl.exp(level - tl.max(level, axis=0))
    values = tl.load(parts + part[:, None] * size + channels[None, :], mask=inside[None, :], other=0.0)
    sums = tl.sum(values * weight[:, None], axis=0) / tl.sum(weight, axis=0)
    tl.store(found + place * size + channels, sums, mask=inside)


def place(
    qkv: torch.Tensor,
    layer: Layer,
    shape: LlamaShape,
    tables: torch.Tensor,
    slots: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
) -> torch.Tensor:
    """See ``reference.place``."""
    rows, half = len(qkv), shape.head_size // 2
    queries = qkv.new_empty((rows, shape.heads, shape.head_size))
    normed = layer.query_norm is not None
    norms = (layer.query_norm, layer.key_norm) if normed else (qkv, qkv)
    _place[(rows, shape.heads + 2 * shape.key_heads)](
        qkv, *norms, tables, slots, queries, keys, values, shape.norm_epsilon,
        shape.heads, shape.key_heads, half, triton.next_power_of_2(half), normed,
    )  # fmt: skip
    return queries


def attend(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, batch: Batch) -> torch.Tensor:
    """See ``reference.attend``. Rows that only fill up find nothing of meaning."""
    (rows, heads, size), key_heads = queries.shape, keys.shape[1]
    (sequences, pages), padded = batch.tables.shape, max(_LEAST_BLOCK, triton.next_power_of_2(size))
    members = rows * (heads // key_heads)
    block_rows = min(_MOST_BLOCK_ROWS, max(_LEAST_BLOCK, triton.next_power_of_2(members)))
    tiles = triton.cdiv(members, block_rows)
    splits = _splits(tiles * sequences * key_heads, pages)
    parts = torch.empty((splits, rows, heads, size), dtype=torch.float32, device=keys.device)
    levels = torch.empty((splits, rows, heads), dtype=torch.float32, device=keys.device)
    _attend[(tiles, sequences * key_heads, splits)](
        queries, keys, values, parts, levels, batch.sequences, batch.enter, batch.leave, batch.tables,
        rows, pages, size**-0.5,
        heads, key_heads, size, padded, RECORD, PAGE_SLOTS, block_rows, _BLOCK_KEYS,
    )  # fmt: skip
    found = torch.empty_like(queries)
    _add_up[(rows * heads,)](parts, levels, found, size, triton.next_power_of_2(size), splits)
    return found


def _splits(programs: int, pages: int) -> int:
    """Among how many programs the places of a sequence are split, where so many would run; a power of two."""
    most = min(_MOST_SPLITS, max(1, _PROGRAMS // programs), pages * PAGE_SLOTS // _BLOCK_KEYS)
    return 1 << (most.bit_length() - 1)
