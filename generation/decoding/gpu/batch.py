"""What one forward is about, as numbers in one buffer whose size and address stay: what a CUDA graph can read again.

The rows of all sequences lie one behind the other. Sizes are rounded up, so that few of them occur; rows that fill up
belong to the first sequence, are written to a page that nobody reads and change nothing. A tree is two numbers a node:
walked depth first, it is entered at one and left at the other, and a node is seen by those that are entered in between.
Knows no weights. Start reading at ``Batch.fill``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
        queries: whether queries are wanted, too, of all rows.
    """

    sequences: int
    rows: int
    nodes: int
    logits: int
    queries: bool = False


def size_of(scorings: Sequence[Scoring]) -> Size:
    """The size of the forward that these sequences need, rounded up."""
    nodes = sum(len(one.draft) for one in scorings)
    return Size(
        sequences=rounded(len(scorings)),
        rows=rounded(nodes - sum(one.first for one in scorings)),
        nodes=rounded(nodes),
        logits=rounded(max(1, sum(one.rows for one in scorings))),
        queries=any(one.queries is not None for one in scorings),
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
        row_sequences: (R,), the sequence of each row.
        row_nodes: (R,), the node of each row.
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
        sizes = [*[size.rows] * 5, *[size.nodes] * 2, *sequences, size.logits]
        self._numbers = torch.zeros(sum(sizes), dtype=torch.int64, device=device)
        parts = torch.split(self._numbers, sizes)
        self.token_ids, self.positions, self.slots, self.row_sequences, self.row_nodes = parts[:5]
        self.enter, self.leave = parts[5:7]
        self.sequences = parts[7].view(size.sequences, RECORD)
        self.tables = parts[8].view(size.sequences, pages)
        self.wanted = parts[9]
        self._sizes = sizes

    def fill(self, scorings: Sequence[Scoring]) -> None:
        """Write what these sequences want computed; their caches must have room for it."""
        columns: list[list[int]] = [[] for _ in self._sizes]
        for number, one in enumerate(scorings):
            added = self._columns(number, one, first_row=len(columns[0]), first_node=len(columns[5]))
            for column, numbers in zip(columns, added, strict=True):
                column.extend(numbers)
        filled = (column + [0] * (size - len(column)) for column, size in zip(columns, self._sizes, strict=True))
        self._numbers.copy_(torch.tensor([number for column in filled for number in column]))

    def _columns(self, number: int, one: Scoring, first_row: int, first_node: int) -> tuple[list[int], ...]:
        """What one sequence adds to each buffer."""
        cache, draft, nodes = one.cache, one.draft, len(one.draft)
        computed = range(one.first, nodes)
        depths = node_depths(draft)
        return (
            list(draft.token_ids[one.first :]),
            [cache.length + depths[node] for node in computed],
            [cache.slot(cache.length + node) for node in computed],
            [number] * len(computed),
            [first_node + node for node in computed],
            *walk(draft.parents),
            [first_row, len(computed), cache.length, first_node, nodes],
            cache.pages + [0] * (self._pages - len(cache.pages)),
            [first_row + row for row in range(len(computed) - one.rows, len(computed))],
        )


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
