"""The operations of ``reference`` as Triton kernels, which read pages where they lie and every key once.

Attention of few rows would leave most of a GPU idle, so the places of a sequence are split among programs, whose
results a second kernel adds up. Lengths, pages and trees are read from memory: one recording serves every length.
Triton's interpreter runs the same code on a CPU (``TRITON_INTERPRET=1``), and its compiler makes code for a GPU without
one: that is how this is tested. Start reading at ``attend``.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch.nn.functional import linear

from generation.decoding.gpu.batch import RECORD, Batch
from generation.decoding.gpu.slots import PAGE_SLOTS
from generation.decoding.gpu.weights import Layer, Linear
from generation.decoding.llama.shape import LlamaShape

# Places of a block (a page holds whole blocks), warps of a program, blocks that are fetched ahead.
_BLOCK_KEYS, _WARPS, _STAGES = 64, 4, 3
_MOST_BLOCK_ROWS = 64
_LEAST_BLOCK = 16  # of what is multiplied
_PROGRAMS = 512  # of one attention: some for each processor of a large GPU
_MOST_SPLITS = 64
_GATED_BLOCK = 1024
_FEW_COLUMNS, _MANY_CHANNELS = 2048, 16384  # of a matrix that one row is multiplied with
_SMALL_BLOCK, _LARGE_BLOCK = (2, 1024), (4, 512)  # channels and columns of it
_LOG2_E = math.log2(math.e)  # powers of two are quicker
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


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _look(  # noqa: PLR0913, PLR0917
    query: tl.tensor, own: tl.tensor, peak: tl.tensor, total: tl.tensor, found: tl.tensor,
    keys: tl.tensor, values: tl.tensor, enter: tl.tensor, leave: tl.tensor, table: tl.tensor,
    block: tl.tensor, length: tl.tensor, stop: tl.tensor, key_head: tl.tensor, scale: tl.tensor,
    key_heads: tl.constexpr, size: tl.constexpr, padded: tl.constexpr, page_slots: tl.constexpr,
    block_keys: tl.constexpr, committed: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:  # fmt: skip
    """Rows look at one block of places, all of which they see if it is ``committed``."""
    channels = tl.arange(0, padded)
    there = channels < size
    page = tl.load(table + block // page_slots)
    slot = page * page_slots + block % page_slots + tl.arange(0, block_keys)
    address = (slot * key_heads + key_head) * size
    key_places = keys + address[None, :] + channels[:, None]
    value_places = values + address[:, None] + channels[None, :]
    if committed and padded == size:
        key, value = tl.load(key_places), tl.load(value_places)
    elif committed:
        key, value = tl.load(key_places, there[:, None], 0.0), tl.load(value_places, there[None, :], 0.0)
    else:
        inside = block + tl.arange(0, block_keys) < stop
        key = tl.load(key_places, inside[None, :] & there[:, None], 0.0)
        value = tl.load(value_places, inside[:, None] & there[None, :], 0.0)
    score = tl.dot(query, key, input_precision="ieee") * scale
    if not committed:
        seen = block + tl.arange(0, block_keys)
        in_tree = (seen < stop) & (seen >= length)
        entered = tl.load(enter + seen - length, mask=in_tree, other=-1)
        left = tl.load(leave + seen - length, mask=in_tree, other=1 << 40)
        visible = (seen < stop)[None, :] & (entered[None, :] <= own[:, None]) & (own[:, None] < left[None, :])
        score = tl.where(visible, score, float("-inf"))
    higher = tl.maximum(peak, tl.max(score, axis=1))
    level = higher if committed else tl.where(higher == float("-inf"), 0.0, higher)
    weight = tl.exp2(score - level[:, None])
    faded = tl.exp2(peak - level)
    total = total * faded + tl.sum(weight, axis=1)
    found = found * faded[:, None] + tl.dot(weight.to(value.dtype), value, input_precision="ieee")
    return higher, total, found


@triton.jit(  # type: ignore[untyped-decorator, unused-ignore]
    do_not_specialize=["all_rows", "pages"],
    do_not_specialize_on_alignment=["sequences", "enter", "leave", "tables"],
)
def _attend(  # noqa: PLR0913, PLR0917
    queries: tl.tensor, keys: tl.tensor, values: tl.tensor, parts: tl.tensor, levels: tl.tensor,
    sequences: tl.tensor, enter: tl.tensor, leave: tl.tensor, tables: tl.tensor,
    all_rows: tl.tensor, pages: tl.tensor, scale: tl.tensor,
    heads: tl.constexpr, key_heads: tl.constexpr, size: tl.constexpr, padded: tl.constexpr, record: tl.constexpr,
    page_slots: tl.constexpr, block_rows: tl.constexpr, block_keys: tl.constexpr, splits: tl.constexpr,
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
    enter += first_node
    leave += first_node
    own = tl.load(enter + nodes - rows + row, mask=row_inside, other=0)
    # A row sees no node behind its own: parents come before their children.
    end = length + nodes - rows + tl.minimum(rows, tl.cdiv((tile + 1) * block_rows, group))
    share = tl.cdiv(tl.cdiv(end, splits), block_keys) * block_keys
    start = split * share
    stop = tl.minimum(start + share, end)
    whole = tl.maximum(start, tl.minimum(stop, length // block_keys * block_keys))
    table = tables + sequence * pages
    peak = tl.full((block_rows,), float("-inf"), tl.float32)
    total = tl.zeros((block_rows,), tl.float32)
    found = tl.zeros((block_rows, padded), tl.float32)
    for block in range(start, whole, block_keys):
        peak, total, found = _look(
            query, own, peak, total, found, keys, values, enter, leave, table, block, length, stop, key_head, scale,
            key_heads, size, padded, page_slots, block_keys, True,
        )  # fmt: skip
    for block in range(whole, stop, block_keys):
        peak, total, found = _look(
            query, own, peak, total, found, keys, values, enter, leave, table, block, length, stop, key_head, scale,
            key_heads, size, padded, page_slots, block_keys, False,
        )  # fmt: skip
    some = total > 0
    target = split * all_rows * heads + place
    if splits > 1:
        tl.store(levels + target, tl.where(some, peak + tl.log2(total), float("-inf")), mask=row_inside)
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
    weight = tl.exp2(level - tl.max(level, axis=0))
    values = tl.load(parts + part[:, None] * size + channels[None, :], mask=inside[None, :], other=0.0)
    sums = tl.sum(values * weight[:, None], axis=0) / tl.sum(weight, axis=0)
    tl.store(found + place * size + channels, sums, mask=inside)


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _times_row(  # noqa: PLR0913, PLR0917
    row: tl.tensor, weight: tl.tensor, bias: tl.tensor, found: tl.tensor,
    channels: tl.constexpr, columns: tl.constexpr, biased: tl.constexpr,
    block_channels: tl.constexpr, block_columns: tl.constexpr,
) -> None:  # fmt: skip
    """Some channels of one row times a matrix."""
    channel = tl.program_id(0) * block_channels + tl.arange(0, block_channels)
    inside = channel < channels
    total = tl.zeros((block_channels, block_columns), tl.float32)
    for start in range(0, columns, block_columns):
        column = start + tl.arange(0, block_columns)
        there = column < columns
        places = channel.to(tl.int64)[:, None] * columns + column[None, :]
        part = tl.load(weight + places, mask=inside[:, None] & there[None, :], other=0.0)
        total += part.to(tl.float32) * tl.load(row + column, mask=there, other=0.0).to(tl.float32)[None, :]
    sums = tl.sum(total, axis=1)
    if biased:
        sums += tl.load(bias + channel, mask=inside, other=0.0)
    tl.store(found + channel, sums, mask=inside)


@triton.jit(do_not_specialize=["epsilon"])  # type: ignore[untyped-decorator, unused-ignore]
def _add_norm(
    hidden: tl.tensor, added: tl.tensor, weight: tl.tensor, sums: tl.tensor, normed: tl.tensor, epsilon: tl.tensor,
    width: tl.constexpr, padded: tl.constexpr,
) -> None:  # fmt: skip
    """One row: what a layer adds, and the norm of the sum."""
    channels = tl.arange(0, padded)
    inside = channels < width
    places = tl.program_id(0) * width + channels
    total = tl.load(hidden + places, mask=inside, other=0.0) + tl.load(added + places, mask=inside, other=0.0)
    tl.store(sums + places, total, mask=inside)
    row = total.to(tl.float32)
    size = tl.sqrt(tl.sum(row * row) / width + epsilon)
    tl.store(normed + places, row / size * tl.load(weight + channels, mask=inside, other=0.0), mask=inside)


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _gated(gate_up: tl.tensor, found: tl.tensor, width: tl.constexpr, block: tl.constexpr) -> None:
    """A part of one row: the gate's SiLU times what is gated."""
    row, channels = tl.program_id(0), tl.program_id(1) * block + tl.arange(0, block)
    inside = channels < width
    gate = tl.load(gate_up + row * 2 * width + channels, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(gate_up + (row * 2 + 1) * width + channels, mask=inside, other=0.0)
    # Rounded where torch rounds between its two operations.
    opened = (gate / (1 + tl.exp(-gate))).to(gate_up.dtype.element_ty)
    tl.store(found + row * width + channels, opened * up, mask=inside)


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
    splits = _splits(tiles * sequences * key_heads, pages * PAGE_SLOTS // _BLOCK_KEYS)
    found = torch.empty_like(queries)
    parts = queries.new_empty((splits, rows, heads, size), dtype=torch.float32) if splits > 1 else found
    levels = queries.new_empty((splits, rows, heads), dtype=torch.float32)
    _attend[(tiles, sequences * key_heads, splits)](
        queries, keys, values, parts, levels, batch.sequences, batch.enter, batch.leave, batch.tables,
        rows, pages, size**-0.5 * _LOG2_E,
        heads, key_heads, size, padded, RECORD, PAGE_SLOTS, block_rows, _BLOCK_KEYS, splits,
        num_warps=_WARPS, num_stages=_STAGES,
    )  # fmt: skip
    if splits > 1:
        _add_up[(rows * heads,)](parts, levels, found, size, triton.next_power_of_2(size), splits)
    return found


def _splits(programs: int, blocks: int) -> int:
    """Among how many programs the places of a sequence are split, where so many would run; a power of two."""
    most = min(_MOST_SPLITS, max(1, _PROGRAMS // programs), blocks)
    return 1 << (most.bit_length() - 1)


def add_norm(
    hidden: torch.Tensor, added: torch.Tensor, weight: torch.Tensor, epsilon: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """See ``reference.add_norm``."""
    rows, width = hidden.shape
    sums, normed = torch.empty_like(hidden), torch.empty_like(hidden)
    padded = triton.next_power_of_2(width)
    _add_norm[(rows,)](hidden, added, weight, sums, normed, epsilon, width, padded, num_warps=8 if padded > 2048 else 4)
    return sums, normed


def gated(gate_up: torch.Tensor) -> torch.Tensor:
    """See ``reference.gated``."""
    rows, width = len(gate_up), gate_up.shape[1] // 2
    found = gate_up.new_empty((rows, width))
    _gated[(rows, triton.cdiv(width, _GATED_BLOCK))](gate_up, found, width, _GATED_BLOCK)
    return found


def times(rows: torch.Tensor, matrix: Linear) -> torch.Tensor:
    """See ``reference.times``. For one row our kernel is quicker than torch, but where very many channels are short."""
    channels, columns = matrix.weight.shape
    if len(rows) > 1 or (columns < _FEW_COLUMNS and channels > _MANY_CHANNELS):
        return linear(rows, matrix.weight, matrix.bias)
    found = rows.new_empty((1, channels))
    block_channels, block_columns = _SMALL_BLOCK if columns < _FEW_COLUMNS else _LARGE_BLOCK
    bias = matrix.weight if matrix.bias is None else matrix.bias
    _times_row[(triton.cdiv(channels, block_channels),)](
        rows, matrix.weight, bias, found, channels, columns, matrix.bias is not None, block_channels, block_columns
    )
    return found
