"""Suggestions as a tree of tokens, to be scored in one forward.

Every name is tokenized together with the text before it that is not committed yet (``glue``: the dot, a space), because
a tokenizer splits a name differently in different surroundings (``._`` is one token). A name that is a start of another
ends at an inner node. The free path (what the model would write without the tool) hangs in the same tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from generation.types import Draft, Suggestion

ROOT = -1


@dataclass(slots=True)
class TrieNode:
    """One token below its parent. ``names`` counts the suggestions that end here or further down."""

    token_id: int
    parent: int
    suggestion: Suggestion | None = None
    names: int = 0
    children: dict[int, int] = field(default_factory=dict)  # token id -> node


class SuggestionTrie:
    """A growing token tree; nodes are indices, ``ROOT`` is the last committed token."""

    def __init__(self) -> None:
        self.nodes: list[TrieNode] = []
        self._root_children: dict[int, int] = {}

    @classmethod
    def build(
        cls, suggestions: Iterable[Suggestion], glue: str, encode: Callable[[str], Sequence[int]]
    ) -> SuggestionTrie:
        """A trie of all suggestions, each tokenized behind ``glue``."""
        trie = cls()
        trie.add(suggestions, glue, encode)
        return trie

    def add(self, suggestions: Iterable[Suggestion], glue: str, encode: Callable[[str], Sequence[int]]) -> None:
        """More suggestions. Where two have one spelling, the first stays."""
        for suggestion in suggestions:
            node = self.insert(encode(glue + suggestion.name))
            if node != ROOT and self.nodes[node].suggestion is None:
                self.nodes[node].suggestion = suggestion
                for inner in self.path(node):
                    self.nodes[inner].names += 1

    def children(self, node: int) -> dict[int, int]:
        """Token id to child node."""
        return self._root_children if node == ROOT else self.nodes[node].children

    def insert(self, token_ids: Sequence[int]) -> int:
        """The node at the end of a path, made where it is missing."""
        node = ROOT
        for token_id in token_ids:
            children = self.children(node)
            if token_id not in children:
                self.nodes.append(TrieNode(token_id, node))
                children[token_id] = len(self.nodes) - 1
            node = children[token_id]
        return node

    def path(self, node: int) -> list[int]:
        """Nodes from the root's child down to ``node``."""
        path: list[int] = []
        while node != ROOT:
            path.append(node)
            node = self.nodes[node].parent
        return path[::-1]

    def as_draft(self, wanted: Iterable[int]) -> tuple[Draft, list[int]]:
        """A draft of the given nodes and all above them; and, for each of the draft's nodes, its node here."""
        members = {inner for node in wanted for inner in self.path(node)}
        order = sorted(members)  # a parent is always older than its children
        position = {node: index for index, node in enumerate(order)} | {ROOT: -1}
        parents = tuple(position[self.nodes[node].parent] for node in order)
        return Draft(tuple(self.nodes[node].token_id for node in order), parents), order
