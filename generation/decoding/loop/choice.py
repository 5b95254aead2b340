"""Choosing one name among suggestions by what the model thinks of them.

``IdentifierSearch`` finds the names with the highest probability *as whole identifiers*, their end included: the trie
is scored best first, a few tokens wide, until no name that is still open can beat the best one that is complete. A
prefix is at least as probable as any name it starts, so stopping there is exact. ``walk_greedily`` is the published
alternative, which takes the best token at every node and so can end in a name that is unlikely as a whole.

Beside the suggestions the search follows the *free path*: what the model writes without the tool. In most cases both
agree, and then the search costs no more forwards than writing.

Source: the walk is ToolGen's (arXiv 2401.06391, section 3.3); the search, the end of a name and the free path are ours.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from generation.decoding.loop.suggestion_trie import ROOT, SuggestionTrie
from generation.decoding.tokens.detokenize import Detokenizer
from generation.decoding.tokens.logits import softmax
from generation.decoding.tokens.sampling import Sampler
from generation.decoding.tokens.vocabulary import Vocabulary
from generation.interfaces import DecodingState
from generation.types import Candidate, Draft, Suggestion

if TYPE_CHECKING:
    from generation.interfaces import Barred, Logits

LONGEST_FREE_TOKENS = 16
_HALF = math.log(0.5)
_NEGLIGIBLE = math.log(1e-4)  # a name less likely than this is not looked for


@dataclass(frozen=True, slots=True)
class _Sums:
    """Log of the sum over all tokens that may follow a node; log-probability that an identifier ends there."""

    total: float
    ending: float


class IdentifierSearch:
    """The probabilities of names at the end of a sequence. Commits nothing until ``commit``.

    Args:
        state: the sequence; its ``next_logits`` are those of the first token.
        vocabulary: which tokens continue an identifier.
        sampler: chooses the tokens of the free path.
        barred: (V,) bool, tokens that must not be written (the mark); their probability is taken as zero.
        tree_tokens: most nodes scored in one forward.
        boundary: a name counts with the probability that it ends there.
        guess: what may follow the sequence and some tokens; scored on the free path in advance where the state
            remembers, and without any influence on what is found.
    """

    def __init__(
        self,
        state: DecodingState,
        vocabulary: Vocabulary,
        sampler: Sampler,
        barred: Barred,
        tree_tokens: int,
        boundary: bool = True,
        guess: Callable[[Sequence[int]], Sequence[int]] | None = None,
    ) -> None:
        self._state = state
        self._vocabulary = vocabulary
        self._sampler = sampler
        self._barred = barred
        self._barred_ids = np.flatnonzero(barred)
        self._tree_tokens = tree_tokens
        self._boundary = boundary
        self._guess = guess
        self._room = state.room_tokens
        self.trie = SuggestionTrie()
        self.forwards = 0
        self._logits: dict[int, Logits] = {ROOT: state.next_logits}
        self._sums: dict[int, _Sums] = {}
        self._reached: dict[int, float] = {ROOT: 0.0}  # log-probability of the path down to a node
        self._followed: dict[int, int] = {}  # the token chosen freely after a node
        self._unlikely_mass = 0.0  # of suggestions that are not in the trie
        self._order: list[int] = []  # nodes of the draft scored last

    # ------------------------------------------------------------------------------------------ the free path

    def follow_free(self, chosen: Sequence[int], glue: str) -> tuple[int, str]:
        """What the model writes from here by itself, to the end of the identifier.

        Args:
            chosen: its first tokens, at least one, already chosen.
            glue: what they spell before the identifier starts.

        Returns:
            The node at its end, and the identifier ("" when none came).
        """
        tokens = list(chosen)
        node = self.trie.insert(tokens)
        while len(tokens) < LONGEST_FREE_TOKENS:
            written = self._text(tokens)[len(glue) :]
            if written and not written.isidentifier():
                break  # the token goes on behind the identifier
            following = self.following(node)
            if not self._vocabulary.continues_identifier[following]:
                break
            tokens.append(following)
            node = self.trie.insert(tokens)
        return node, leading_identifier(self._text(tokens)[len(glue) :])

    def following(self, node: int) -> int:
        """The token the model would write after ``node``; always the same."""
        if node not in self._followed:
            if node not in self._logits:
                self._score([node], self._beyond(node))
            self._followed[node] = self._sampler.choose(self._logits[node], self._barred)
        return self._followed[node]

    def ends(self, node: int) -> bool:
        """Whether the model was seen to end the word there. What is chosen next must not go on with it.

        Else a sample that is drawn once more would have another distribution: a name that could also be longer would
        end only where it was drawn to do so twice.
        """
        return node in self._followed and not self._vocabulary.continues_identifier[self._followed[node]]

    def look_ahead(self, node: int, limit: int, enough: Callable[[str], bool] = bool) -> str:
        """What the model would write after ``node``: at most ``limit`` tokens, no more when they are ``enough``."""
        text, detokenizer = "", Detokenizer()
        for _ in range(limit):
            token_id = self.following(node)
            piece = self._vocabulary.bytes_of(token_id)
            text += detokenizer.feed(piece)
            if not piece or enough(text):
                break
            node = self.trie.insert([*self._tokens(node), token_id])
        return text

    def _tokens(self, node: int) -> list[int]:
        return [self.trie.nodes[member].token_id for member in self.trie.path(node)]

    def _text(self, tokens: Sequence[int]) -> str:
        """Without a character of which only some bytes are there."""
        return Detokenizer().feed(b"".join(map(self._vocabulary.bytes_of, tokens)))

    # ------------------------------------------------------------------------------------------ the suggestions

    def rank(self, suggestions: Sequence[Suggestion], glue: str, least_mass: float = 0.0) -> None:
        """Score the suggestions until the best is known; ``best`` and ``mass`` then tell.

        Suggestions that end with ``=`` hold their own end; names and such are not ranked together.

        Args:
            suggestions: the names.
            glue: what stands before each.
            least_mass: with less than this together they need not be compared.
        """
        self._boundary = self._boundary and all(suggestion.name.isidentifier() for suggestion in suggestions)
        self.trie.add(self._likely(suggestions, glue), glue, self._vocabulary.encode)
        while self.mass >= least_mass:
            open_nodes = self._open_nodes()
            bound = max((self._bound(node) for node in open_nodes), default=-math.inf)
            best = max((self._whole(node) for node in self._complete_nodes()), default=-math.inf)
            if bound <= max(best, _NEGLIGIBLE):
                return
            self._score(self._plan(open_nodes, max(best, _NEGLIGIBLE) if self._sampler.greedy else _NEGLIGIBLE))

    def _likely(self, suggestions: Sequence[Suggestion], glue: str) -> list[Suggestion]:
        """Those whose first token is not negligible: of long lists a few. What the others have counts for ``mass``."""
        suggestions = [one for one in suggestions if len(self._vocabulary.encode(glue + one.name)) <= self._room]
        first = [self._vocabulary.encode(glue + suggestion.name)[0] for suggestion in suggestions]
        ids = list(set(first).difference(self.trie.children(ROOT)))
        steps = self._logits[ROOT][ids] - self._sums_of(ROOT).total
        unlikely = {token_id for token_id, step in zip(ids, steps.tolist(), strict=True) if step <= _NEGLIGIBLE}
        self._unlikely_mass = float(np.exp(steps[steps <= _NEGLIGIBLE]).sum())
        return [one for one, token_id in zip(suggestions, first, strict=True) if token_id not in unlikely]

    def settles(self, suggestion: Suggestion, glue: str, end: int) -> bool:
        """Whether no other name can be as probable: what the model writes by itself is more than half of everything.

        Args:
            suggestion: the name that the free path spells.
            glue: what stands before it.
            end: the node where the free path ends.
        """
        if not (self._boundary and self._sampler.greedy and suggestion.name.isidentifier() and end in self._logits):
            return False
        if self._vocabulary.encode(glue + suggestion.name) != tuple(self._tokens(end)):
            return False
        self.trie.add([suggestion], glue, self._vocabulary.encode)
        return self._whole(end) > _HALF

    def best(self, count: int) -> list[tuple[Candidate, int]]:
        """The most probable suggestions that are known, each with its node."""
        ranked = sorted(self._complete_nodes(), key=self._whole, reverse=True)[:count]
        return [(self._candidate(node), node) for node in ranked]

    def suggestion(self, node: int) -> Suggestion:
        """The suggestion that ends at a node."""
        found = self.trie.nodes[node].suggestion
        assert found is not None
        return found

    @property
    def mass(self) -> float:
        """Probability of all suggestions together: the complete ones, and of the open ones what they have at most."""
        complete = sum(math.exp(self._whole(node)) for node in self._complete_nodes())
        return complete + sum(math.exp(self._bound(node)) for node in self._open_nodes()) + self._unlikely_mass

    def sample(self) -> int:
        """A node of a known suggestion, drawn by probability and temperature (the best one when greedy)."""
        nodes = sorted(self._complete_nodes(), key=self._whole, reverse=True)
        return nodes[self._sampler.choose_weighted([self._whole(node) for node in nodes])]

    def commit(self, node: int) -> list[int]:
        """Commit the path to ``node``; returns its tokens. The search must not be used afterwards."""
        path = self.trie.path(node)
        if not set(path) <= set(self._order):
            self._score([node])
        position = {member: index for index, member in enumerate(self._order)}
        self._state.commit([position[member] for member in path])
        return self._tokens(node)

    def log_probability(self, node: int) -> float:
        """Of the tokens down to ``node``, without the end of the identifier."""
        return self._bound(node)

    # ------------------------------------------------------------------------------------------ scoring

    def _score(self, nodes: Sequence[int], beyond: Sequence[int] = ()) -> None:
        """One forward over ``nodes``, what stands above them, and a guess of what follows the last of them."""
        draft, self._order = self.trie.as_draft(nodes)
        count = len(draft)
        parents = (*draft.parents, *range(count - 1, count - 1 + len(beyond)))
        scored = self._state.score(Draft((*draft.token_ids, *beyond), parents))
        self.forwards += 1
        for row, node in enumerate(self._order):
            self._logits[node] = scored[row]

    def _sums_of(self, node: int) -> _Sums:
        """Computed where names compete, which most free paths never do."""
        if node not in self._sums:
            logits = self._logits[node]
            peak = float(logits.max())
            weights = np.exp(logits - peak)
            weights[self._barred_ids] = 0.0
            total = float(weights.sum())
            ending = float(weights @ self._vocabulary.ends_identifier) / total
            self._sums[node] = _Sums(peak + math.log(total), math.log(ending) if ending > 0 else -math.inf)
        return self._sums[node]

    def _beyond(self, node: int) -> Sequence[int]:
        """What to score with the free path in advance; nothing where it would be forgotten, or cost its own forward."""
        tokens = self._tokens(node)
        known = self._state.remembered(tokens)
        return self._guess(tokens) if self._guess and known is not None and known < len(tokens) else ()

    def _bound(self, node: int) -> float:
        """Log-probability of the path to a node whose parent is scored: no name below it can have more."""
        if node not in self._reached:
            parent = self.trie.nodes[node].parent
            step = float(self._logits[parent][self.trie.nodes[node].token_id]) - self._sums_of(parent).total
            self._reached[node] = self._bound(parent) + step
        return self._reached[node]

    def _whole(self, node: int) -> float:
        return self._bound(node) + (self._sums_of(node).ending if self._boundary else 0.0)

    def _complete_nodes(self) -> list[int]:
        return [n for n in self._logits if n != ROOT and self.trie.nodes[n].suggestion is not None]

    def _open_nodes(self) -> list[int]:
        """Nodes that were not scored, below scored ones, with a suggestion at or under them."""
        nodes = self.trie.nodes
        below = (child for scored in self._logits for child in self.trie.children(scored).values())
        return [node for node in below if node not in self._logits and nodes[node].names]

    def _plan(self, open_nodes: Sequence[int], least: float) -> list[int]:
        """Nodes to score next, best first, while they may have more than ``least``.

        Children are guessed to share their parent's probability by their names.
        """
        heap = [(-self._bound(node), node) for node in open_nodes]
        heapq.heapify(heap)
        planned: list[int] = []
        while heap and len(planned) < self._tree_tokens:
            cost, node = heapq.heappop(heap)
            if planned and -cost < least:
                break
            planned.append(node)
            total = self.trie.nodes[node].names
            for child in self.trie.children(node).values():
                if share := self.trie.nodes[child].names:
                    heapq.heappush(heap, (cost - math.log(share / total), child))
        return planned

    def _candidate(self, node: int) -> Candidate:
        suggestion = self.suggestion(node)
        return Candidate(suggestion.name, math.exp(self._whole(node)), suggestion.source)


def leading_identifier(text: str) -> str:
    """The longest start of ``text`` that is an identifier; "" when there is none."""
    end = len(text)
    while end and not text[:end].isidentifier():
        end -= 1
    return text[:end]


def walk_greedily(
    state: DecodingState, suggestions: Sequence[Suggestion], glue: str, vocabulary: Vocabulary
) -> tuple[Suggestion | None, list[int]]:
    """The published walk: at every node the most probable child, one forward a token, no end of the identifier.

    At a node where one name ends and longer ones go on, it stops when the mean probability of its tokens would fall.

    Returns:
        The suggestion and its tokens, which are committed; (None, []) without suggestions.
    """
    trie = SuggestionTrie.build(suggestions, glue, vocabulary.encode)
    node, total, tokens = ROOT, 0.0, list[int]()
    while children := trie.children(node):
        probabilities = softmax(state.next_logits)
        token_id = max(children, key=lambda token: float(probabilities[token]))
        chance = float(probabilities[token_id])
        ends_here = node != ROOT and trie.nodes[node].suggestion is not None
        if ends_here and total / len(tokens) > (total + chance) / (len(tokens) + 1):
            break
        state.score(Draft.chain([token_id]))
        state.commit([0])
        tokens.append(token_id)
        node, total = children[token_id], total + chance
    return (trie.nodes[node].suggestion if node != ROOT else None), tokens
