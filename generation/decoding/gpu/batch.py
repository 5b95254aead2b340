"""What one forward is about, as numbers in one buffer whose size and address stay: what a CUDA graph can read again.

The rows of all sequences lie one behind the other. Sizes are rounded up, so that few of them occur; rows that fill up
belong to the first sequence, are written to a page that nobody reads and change nothing. A tree is two numbers a node:
walked depth first, it is entered at one and left at the other, and a node is seen by those that are entered in between.
Knows no weights. Start reading at ``Batch.fill``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from generation.decoding.llama.network import Scoring
from generation.decoding.sequence import node_depths

RECORD = 5  # numbers of a sequence: first row, rows, committed tokens, first node, nodes


@dataclass(frozen=True, slots=True)
class Size:
    """How large the buffers of a forward are; each is at least what its sequences need.

    Attributes:
        sequences: B.
        rows: R, of all sequences together.
        nodes: K, of all trees together, those computed before included.
        logits: N, rows whose logits are wanted.
    """

    sequences: int
    rows: int
    nodes: int
    logits: int


def size_of(scorings: Sequence[Scoring]) -> Size:
    """The size of the forward that these sequences need, rounded up."""
    nodes = sum(len(one.draft) for one in scorings)
    return Size(
        sequences=rounded(len(scorings)),
        rows=rounded(nodes - sum(one.first for one in scorings)),
        nodes=rounded(nodes),
        logits=rounded(max(1, sum(one.rows for one in scorings))),
    )


def rounded(count: int) -> int:
    """The next number that is used: all up to 8, then four between each power of two and the next."""
    step = 1 << max(0, count.bit_length() - 3)
    return -(-count // step) * step


class Batch:
    """The buffers of forwards of one size.

    Args:
        size: of all buffers.
        pages: most of a sequence, P.
        device: where they lie.

    Attributes:
        token_ids: (R,).
        positions: (R,).
        slots: (R,), where keys and values are written.
        enter: (K,), of each node.
        leave: (K,), of each node.
        sequences: (B, RECORD); one that is not there has no rows.
        tables: (B, P), pages.
        wanted: (N,), rows whose logits are wanted.
    """

    def __init__(self, size: Size, pages: int, device: torch.device) -> None:
        self.size = size
        self._pages = pages
        sequences = [size.sequences * RECORD, size.sequences * pages]
        sizes = [*[size.rows] * 3, *[size.nodes] * 2, *sequences, size.logits]
        self._numbers = torch.zeros(sum(sizes), dtype=torch.int64, device=device)
        parts = torch.split(self._numbers, sizes)
        self.token_ids, self.positions, self.slots, self.enter, self.leave = parts[:5]
        self.sequences = parts[5].view(size.sequences, RECORD)
        self.tables = parts[6].view(size.sequences, pages)
        self.wanted = parts[7]
        # Written here first, and copied at once: who runs a forward waits for it, so nothing is written over too early.
        self._written = torch.zeros(sum(sizes), dtype=torch.int64, pin_memory=device.type == "cuda")
        self._columns = [part.numpy() for part in torch.split(self._written, sizes)]

    def fill(self, scorings: Sequence[Scoring]) -> None:
        """Write what these sequences want computed; their caches must have room for it."""
        *columns, records, tables, logits = self._columns
        rows, nodes, wanted = _Filled(columns[:3]), _Filled(columns[3:]), _Filled([logits])
        records, tables = records.reshape(-1, RECORD), tables.reshape(-1, self._pages)
        records[len(scorings) :] = 0
        for number, one in enumerate(scorings):
            cache, draft, all_nodes = one.cache, one.draft, len(one.draft)
            computed = all_nodes - one.first
            records[number] = rows.count, computed, cache.length, nodes.count, all_nodes
            tables[number, : len(cache.pages)] = cache.pages
            last = rows.count + computed
            wanted.add(range(last - one.rows, last))
            depths, places = node_depths(draft), range(one.first, all_nodes)
            rows.add(
                draft.token_ids[one.first :],
                [cache.length + depths[node] for node in places],
                [cache.slot(cache.length + node) for node in places],
            )
            nodes.add(*walk(draft.parents))
        for filled in (rows, nodes, wanted):
            filled.end()
        self._numbers.copy_(self._written, non_blocking=True)


class _Filled:
    """Columns of one length, filled from the start on."""

    def __init__(self, columns: Sequence[npt.NDArray[np.int64]]) -> None:
        self._columns = columns
        self.count = 0

    def add(self, *numbers: Sequence[int]) -> None:
        """Behind what is there, as many numbers in each column."""
        end = self.count + len(numbers[0])
        for column, added in zip(self._columns, numbers, strict=True):
            column[self.count : end] = added
        self.count = end

    def end(self) -> None:
        """Behind them are zeros."""
        for column in self._columns:
            column[self.count :] = 0


def walk(parents: Sequence[int]) -> tuple[list[int], list[int]]:
    """When a walk that goes down first enters and leaves each node; a node is left behind all that are below it.

    Args:
        parents: of each node, which come before it; -1 of a root.
    """
    sizes = [1] * len(parents)
    for node in range(len(parents) - 1, -1, -1):
        if parents[node] >= 0:
            sizes[parents[node]] += sizes[node]
    enter, following, roots = list[int](), list[int](), 0  # following: where the next child of each is entered
    for node, parent in enumerate(parents):
        enter.append(following[parent] if parent >= 0 else roots)
        following.append(enter[node] + 1)
        if parent >= 0:
            following[parent] += sizes[node]
        else:
            roots += sizes[node]
    return enter, [start + size for start, size in zip(enter, sizes, strict=True)]
