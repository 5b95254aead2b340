"""Drafts: guesses of how a sequence goes on, taken from text that is known. A wrong guess costs time, never text.

``LookupDrafter`` proposes what followed the longest end of the sequence that was seen before: in the sequence itself,
and in texts that stay (the file around the cursor, files beside it). How much of it is worth a forward follows from
what forwards cost on this machine and from how often such guesses were right. Knows no model. Start at
``LookupDrafter.propose``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from generation.decoding.drafts.suffix_index import SuffixIndex
from generation.decoding.llama.native import NoKernels, find_kernels
from generation.decoding.llama.parallel_prompt import ParallelPrompt
from generation.decoding.step_costs import MOST_ROWS, StepCosts
from generation.interfaces import Drafter, LanguageModel
from generation.types import GenerationRequest

_DRAFTED_CHARACTERS = 20_000  # of the file, before and after the hole, that drafts are taken from
_MOST_TOKENS = MOST_ROWS - 1
_BUCKETS = (2, 3, 4, 6, 9, 14, 20)  # lengths of matches that are told apart, by their lower ends
_PRIOR = (0.12, 0.25, 0.5, 0.75, 0.9, 0.95, 0.97)  # how often a guess was right in files of the training list
_PRIOR_GUESSES = 12.0
_REMEMBERED_GUESSES = 200.0


class Odds:
    """How often the next token of a guess is right, by the length of its match; learns, and forgets slowly."""

    def __init__(self) -> None:
        self._right = [share * _PRIOR_GUESSES for share in _PRIOR]
        self._seen = [_PRIOR_GUESSES] * len(_PRIOR)

    def __call__(self, match: int) -> float:
        """Between 0 and 1."""
        bucket = _bucket(match)
        return self._right[bucket] / self._seen[bucket]

    def learn(self, match: int, *, right: bool) -> None:
        """One guess was seen through."""
        bucket = _bucket(match)
        if self._seen[bucket] >= _REMEMBERED_GUESSES:
            self._right[bucket] /= 2
            self._seen[bucket] /= 2
        self._right[bucket] += right
        self._seen[bucket] += 1


@dataclass(frozen=True, slots=True)
class _Guess:
    """What was thought to follow ``position`` tokens, whether it was worth a draft or not."""

    position: int
    token_ids: list[int]
    match: int


class LookupDrafter:
    """Proposes what followed the longest end of the sequence that was seen before.

    Of equal matches the sequence itself wins, then the first text. A guess that is not proposed is followed all the
    same, so the odds stay true where drafts do not pay.

    Source: prompt lookup decoding (Saxena 2023); the texts beside the prompt, the index and the length are ours.

    Args:
        own: an empty index, for the sequence.
        costs: of forwards.
        texts: indices of texts that are known beside the sequence.
        odds: what was learned before.
    """

    def __init__(
        self, own: SuffixIndex, costs: StepCosts, texts: Sequence[SuffixIndex] = (), odds: Odds | None = None
    ) -> None:
        self._own = own
        self._costs = costs
        self._texts = texts
        self._odds = odds or Odds()
        self._last = _Guess(0, [], 0)

    def propose(self, token_ids: Sequence[int], limit: int) -> Sequence[int]:
        """At most ``limit`` tokens that may follow ``token_ids``; empty when none are worth their forward."""
        kept = self._own.update(token_ids)
        if kept >= self._last.position:
            self._learn(token_ids)
        best, best_match, best_end = self._own, 0, 0
        for index in (self._own, *self._texts):
            match, end = index.find(token_ids)
            if match > best_match:
                best, best_match, best_end = index, match, end
        guess = best.following(best_end, _MOST_TOKENS) if best_match else []
        if best is self._own:
            guess = (guess * _MOST_TOKENS)[:_MOST_TOKENS]  # what repeats itself ends where the sequence does
        self._last = _Guess(len(token_ids), guess, best_match)
        return guess[: self._worth(best_match, min(limit, len(guess)), len(token_ids))]

    def _worth(self, match: int, available: int, context_tokens: int) -> int:
        """How many tokens of a guess let most tokens be written in a millisecond."""
        if available <= 0:
            return 0
        rows_ms = self._costs.rows_ms(context_tokens)
        chance = expected = 1.0
        best, best_rate = 0, 1 / rows_ms[0]
        for count in range(1, available + 1):
            chance *= self._odds(match + count - 1)
            expected += chance
            if expected / rows_ms[count] > best_rate:
                best, best_rate = count, expected / rows_ms[count]
        return best

    def _learn(self, token_ids: Sequence[int]) -> None:
        last = self._last
        written = token_ids[last.position : last.position + len(last.token_ids)]
        for number, (one, other) in enumerate(zip(last.token_ids, written, strict=False)):
            self._odds.learn(last.match + number, right=one == other)
            if one != other:
                return


class BothDrafters:
    """What the text says first; where it says nothing, what the prompt tokens guess. Implements ``Drafter``."""

    def __init__(self, lookup: Drafter, parallel_prompt: ParallelPrompt) -> None:
        self._drafters = (lookup, parallel_prompt)

    def propose(self, token_ids: Sequence[int], limit: int) -> Sequence[int]:
        """See ``Drafter``."""
        return next((found for drafter in self._drafters if (found := drafter.propose(token_ids, limit))), ())


def drafter_for(model: LanguageModel, texts: Sequence[SuffixIndex] = (), odds: Odds | None = None) -> Drafter | None:
    """A drafter for one sequence; None without kernels, or for a model that does not know what its forwards cost."""
    costs: StepCosts | None = getattr(model, "step_costs", None)
    own = index_of(())
    if costs is None or own is None:
        return None
    lookup = LookupDrafter(own, costs, texts, odds)
    parallel_prompt: ParallelPrompt | None = getattr(model, "parallel_prompt", None)
    return lookup if parallel_prompt is None else BothDrafters(lookup, parallel_prompt)


def index_of(token_ids: Sequence[int]) -> SuffixIndex | None:
    """An index of a text; None without kernels."""
    kernels = find_kernels()
    return None if isinstance(kernels, NoKernels) else SuffixIndex(kernels, token_ids)


def _bucket(match: int) -> int:
    bucket = 0
    while bucket + 1 < len(_BUCKETS) and match >= _BUCKETS[bucket + 1]:
        bucket += 1
    return bucket


def texts_around(model: LanguageModel, request: GenerationRequest) -> list[SuffixIndex]:
    """The file around the hole, where drafts are taken from beside the sequence."""
    around = (request.before[-_DRAFTED_CHARACTERS:], request.after[:_DRAFTED_CHARACTERS])
    indices = (index_of(model.tokenizer.encode(text)) for text in around)
    return [index for index in indices if index is not None]


def drafter_for_request(model: LanguageModel, request: GenerationRequest) -> Drafter | None:
    """A drafter for one request, with nothing learned from others."""
    return drafter_for(model, texts_around(model, request), Odds())
