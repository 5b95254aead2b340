"""The tree of all tokens that were scored behind a sequence and are still possible: none is computed twice.

A search scores a path, then the same path and one more token; a draft goes on behind the name it guessed. The keys and
values of a node stay in their slots of the cache until a commit makes it impossible. Knows no network. Start reading
at ``add``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from generation.types import Draft

if TYPE_CHECKING:
    from generation.interfaces import Logits


class ScoredTree:
    """Nodes in the order of their slots; a parent comes before its children, -1 is the last committed token."""

    def __init__(self) -> None:
        self.token_ids: list[int] = []
        self.parents: list[int] = []
        self.logits: list[Logits] = []  # (V,) of each node that was computed
        self._children: dict[tuple[int, int], int] = {}  # of (parent, token)

    def __len__(self) -> int:
        return len(self.token_ids)

    def add(self, draft: Draft) -> list[int]:
        """Where each node of a draft is here; the nodes that were missing are appended, without logits."""
        nodes: list[int] = []
        for token_id, parent in zip(draft.token_ids, draft.parents, strict=True):
            nodes.append(self.child(nodes[parent] if parent >= 0 else -1, token_id))
        return nodes

    def child(self, parent: int, token_id: int) -> int:
        """Where a token behind a node is; it is appended, without logits, where it was missing."""
        node = self._children.setdefault((parent, token_id), len(self))
        if node == len(self):
            self.token_ids.append(token_id)
            self.parents.append(parent)
        return node

    def path(self, node: int) -> list[int]:
        """From a root down to a node; none for the last committed token."""
        found: list[int] = []
        while node >= 0:
            found.append(node)
            node = self.parents[node]
        return found[::-1]

    def known(self, token_ids: Sequence[int]) -> int:
        """How many tokens of a path from the root are here."""
        node = -1
        for count, token_id in enumerate(token_ids):
            node = self._children.get((node, token_id), -1)
            if node < 0:
                return count
        return len(token_ids)

    def rows(self, nodes: Sequence[int]) -> Logits:
        """Logits (K, V) of nodes that were computed; no copy where they lie behind each other in one array already."""
        found = [self.logits[node] for node in nodes]
        base = found[0].base
        if not isinstance(base, np.ndarray) or base.ndim != 2 or any(row.base is not base for row in found):
            return np.stack(found)
        start, *places = (one.__array_interface__["data"][0] // base.strides[0] for one in (base, *found))
        first = places[0] - start
        follow = places == list(range(places[0], places[0] + len(found)))
        return base[first : first + len(found)] if follow else np.stack(found)

    def as_draft(self) -> Draft:
        """All nodes."""
        return Draft(tuple(self.token_ids), tuple(self.parents))

    def drop_uncomputed(self) -> None:
        """Forget nodes that were added and got no logits."""
        for node in range(len(self.logits), len(self)):
            del self._children[self.parents[node], self.token_ids[node]]
        del self.token_ids[len(self.logits) :], self.parents[len(self.logits) :]

    def commit(self, path: Sequence[int]) -> list[int]:
        """Move the root down a path; what does not stand below it is gone.

        Returns:
            The old nodes that stay, in the order their slots must have now: the path, then all that hangs below it.
        """
        place = {path[-1]: -1}
        for node in range(path[-1] + 1, len(self)):
            if self.parents[node] in place:
                place[node] = len(place) - 1
        kept = list(place)[1:]
        self.parents = [place[self.parents[node]] for node in kept]
        self.token_ids = [self.token_ids[node] for node in kept]
        self.logits = [self.logits[node] for node in kept]
        pairs = zip(self.parents, self.token_ids, strict=True)
        self._children = {pair: node for node, pair in enumerate(pairs)}
        return [*path, *kept]
