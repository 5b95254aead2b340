"""Parallel prompt decoding: trained prompt tokens behind a token guess what follows the one after it.

They are scored in the forward that finds the next token, as nodes of the same tree, and nothing that is committed sees
them. A guess is a draft like any other: wrong ones cost time, never text. Whether that pays depends on what rows of a
forward cost on this machine.

Source: arXiv 2405.18628; our trees are chains, each token with its own prompt tokens. Start at ``ParallelPrompt``.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate
from operator import mul
from typing import TYPE_CHECKING

from generation.decoding.drafts.prompt_tokens import PromptTokens
from generation.decoding.llama.scored_tree import ScoredTree
from generation.decoding.step_costs import StepCosts
from generation.decoding.tokens.logits import log_total

if TYPE_CHECKING:
    from generation.interfaces import Logits

_TYPICAL_CONTEXT_TOKENS = 1000
_TAIL_TOKENS = 6  # by which the end of a sequence is known again
_REMEMBERED = 64  # ends of sequences
_BESIDE_TEXT = 0.2  # of what guesses win alone is left where drafts from text come first (docs/performance.md)


class ParallelPrompt:
    """The prompt tokens of one model, and what they guessed lately; implements ``Drafter``. One thread uses it.

    Args:
        trained: the tokens, and how often they are right.
        first_id: of their ids, which lie behind the vocabulary.
        costs: of forwards.
        forced: they are used though that does not pay.
    """

    def __init__(self, trained: PromptTokens, first_id: int, costs: StepCosts, *, forced: bool = False) -> None:
        self._first_id = first_id
        self._costs = costs
        self._guessed: OrderedDict[tuple[int, ...], list[Logits]] = OrderedDict()
        self.depth = best_depth(trained.accuracy, costs, least=int(forced))

    def stand_behind(self, tree: ScoredTree, known: int) -> None:
        """Put prompt tokens behind the nodes of a tree from ``known`` on that may be the last ones to be committed.

        A chain may be accepted up to any node; of a long one mostly the end is, or the start. Where names compete,
        nobody wants to know what follows.
        """
        new = range(known, len(tree))
        if any(tree.parents[node] != node - 1 for node in new[1:]):
            return
        for node in new if len(new) <= self.depth + 1 else (new[0], new[-1]):
            behind = node
            for ahead in range(self.depth):
                behind = tree.child(behind, self._first_id + ahead)

    def note(self, token_ids: Sequence[int], tree: ScoredTree, known: int) -> None:
        """Remember what was guessed behind the nodes of a tree from ``known`` on, of a sequence of ``token_ids``."""
        tail = list(token_ids[-_TAIL_TOKENS:])
        for node in range(known, len(tree)):
            if tree.token_ids[node] == self._first_id:
                chain = [node, *range(node + 1, node + self.depth)]
                path = tree.path(tree.parents[node])
                key = tuple([*tail, *(tree.token_ids[one] for one in path)][-_TAIL_TOKENS:])
                self._guessed[key] = [tree.logits[one] for one in chain]
                self._guessed.move_to_end(key)
        while len(self._guessed) > _REMEMBERED:
            self._guessed.popitem(last=False)

    def propose(self, token_ids: Sequence[int], limit: int) -> Sequence[int]:
        """At most ``limit`` tokens that may follow ``token_ids``, by what was guessed before the last of them."""
        guessed = self._guessed.get(tuple(token_ids[:-1][-_TAIL_TOKENS:]), [])[:limit]
        rows_ms = self._costs.rows_ms(len(token_ids))
        found: list[int] = []
        chance = expected = 1.0
        best, best_rate = 0, 1 / rows_ms[self.depth]
        for logits in guessed:
            found.append(int(logits.argmax()))
            chance *= math.exp(float(logits[found[-1]]) - log_total(logits))
            expected += chance
            rate = expected / rows_ms[self._rows(len(found)) - 1]
            if rate > best_rate:
                best, best_rate = len(found), rate
        return found[:best]

    def _rows(self, guesses: int) -> int:
        return (guesses + 1) * (self.depth + 1)


def best_depth(accuracy: Sequence[float], costs: StepCosts, least: int = 0) -> int:
    """How many prompt tokens behind each token let most tokens be written in a millisecond; 0 where none pay.

    Args:
        accuracy: how often each guess is right.
        costs: of forwards.
        least: of what is returned.
    """
    rows_ms = costs.rows_ms(_TYPICAL_CONTEXT_TOKENS)
    won = accumulate(accumulate(accuracy, mul), initial=0.0)  # tokens of a step beside the first, by its guesses
    rates = [
        (1 + _BESIDE_TEXT * tokens) / rows_ms[(depth + 1) ** 2 - 1]  # each token has as many prompt tokens as guesses
        for depth, tokens in enumerate(won)
        if (depth + 1) ** 2 <= len(rows_ms)
    ]
    return max(range(least, len(rates)), key=rates.__getitem__)
