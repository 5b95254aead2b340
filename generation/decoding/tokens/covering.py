"""The exact start inside a word: what the model writes after some bytes, however they may be cut into tokens.

A cursor that stands in an identifier cuts it where the tokenizer would not, and tokens of the piece that is there make
another continuation likely than the whole would. So the bytes are not tokenized: every way to spell them is scored, the
last token reaching beyond them as far as it likes. The probability of such a *cover* is that of its tokens, and covers
exclude each other, so together they are the distribution of a model without tokens (but for spellings that are less
likely than a ten-thousandth of the best, or of the usual one as far as they go, which are not looked into). The usual
one, what the tokenizer makes of the bytes, comes first and in one forward: it leaves few others to look into.

Source: Phan et al., "Exact Byte-Level Probabilities from Tokenized Language Models" (arXiv 2410.09303). The search over
a tree of tokens, a forward for each of its levels, is ours. Start reading at ``covers``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from generation.decoding.tokens.logits import log_softmax, without
from generation.decoding.tokens.vocabulary import Vocabulary
from generation.interfaces import DecodingState
from generation.types import Draft

if TYPE_CHECKING:
    from generation.interfaces import Barred, Logits

_LEAST = math.log(1e-4)  # against the best cover
_MOST_WIDE = 16  # beginnings scored in one forward
_MOST_FORWARDS = 16  # `aaaaaaaaaaaaaaaaaaaaaaaa` can be spelled in very many ways, of which the likeliest are enough


@dataclass(frozen=True, slots=True)
class Cover:
    """Tokens that spell given bytes, the last of them perhaps more; log-probability."""

    token_ids: tuple[int, ...]
    logprob: float


@dataclass(frozen=True, slots=True)
class _Beginning(Cover):
    """Tokens that spell a start of the bytes."""

    spelled: int


def covers(
    state: DecodingState, vocabulary: Vocabulary, required: bytes, barred: Barred | None = None
) -> tuple[list[Cover], int]:
    """The ways to spell ``required`` behind a sequence, the most probable first; commits nothing.

    Args:
        state: the sequence.
        vocabulary: what its tokens spell.
        required: at least one byte.
        barred: (V,) bool, tokens that must not be written; their probability is taken as zero. None bars none.

    Returns:
        The covers, and how many forwards they took.
    """
    found: list[Cover] = []
    begun: list[_Beginning] = []
    best = -math.inf
    scored = _usual(state, vocabulary, required, barred)
    forwards = int(len(scored) > 1)
    usual = [beginning for beginning, _ in scored]
    known = {beginning.token_ids for beginning in usual}
    while scored and (forwards < _MOST_FORWARDS or not found):
        for beginning, logits in scored:
            whole, parts = _next(beginning, logits, vocabulary, required, barred)
            found += whole
            begun += (part for part in parts if part.token_ids not in known)
        best = max((cover.logprob for cover in found), default=best)
        begun = sorted((one for one in begun if _is_likely(one, usual, best)), key=lambda one: -one.logprob)
        chosen, begun = begun[:_MOST_WIDE], begun[_MOST_WIDE:]
        scored = list(zip(chosen, _logits_after(state, chosen), strict=True)) if chosen else []
        forwards += bool(chosen)
    likely = (cover for cover in found if cover.logprob > best + _LEAST)
    return sorted(likely, key=lambda cover: -cover.logprob), forwards


def _usual(
    state: DecodingState, vocabulary: Vocabulary, required: bytes, barred: Barred | None
) -> list[tuple[_Beginning, Logits]]:
    """The beginnings of how the tokenizer spells ``required``, the empty one first, with the logits behind each."""
    scored = [(_Beginning((), 0.0, 0), state.next_logits)]
    *tokens, _ = vocabulary.encode(required.decode(errors="replace")) or (0,)
    if not tokens or not required.startswith(b"".join(map(vocabulary.bytes_of, tokens))):
        return scored
    for token_id, behind in zip(tokens, state.score(Draft.chain(tokens)), strict=True):
        last, logits = scored[-1]
        step = float(_log_probabilities(logits, barred)[token_id])
        spelled = last.spelled + len(vocabulary.bytes_of(token_id))
        if step == -math.inf:
            break
        scored.append((_Beginning((*last.token_ids, token_id), last.logprob + step, spelled), behind))
    return scored


def _next(
    beginning: _Beginning, logits: Logits, vocabulary: Vocabulary, required: bytes, barred: Barred | None
) -> tuple[list[Cover], list[_Beginning]]:
    """What a beginning becomes with one more token: whole covers, and longer beginnings."""
    rest = required[beginning.spelled :]
    candidates = vocabulary.covering(rest)
    steps = _log_probabilities(logits, barred)[candidates].tolist()
    whole, parts = list[Cover](), list[_Beginning]()
    for token_id, step in zip(candidates, steps, strict=True):
        token_ids, logprob = (*beginning.token_ids, token_id), beginning.logprob + step
        spelled = len(vocabulary.bytes_of(token_id))
        if spelled >= len(rest):
            whole.append(Cover(token_ids, logprob))
        elif step > -math.inf:
            parts.append(_Beginning(token_ids, logprob, beginning.spelled + spelled))
    return whole, parts


def _is_likely(beginning: _Beginning, usual: Sequence[_Beginning], best: float) -> bool:
    """Whether it is not far less likely than the usual beginning that spells as much, or else the best cover."""
    as_long = (one.logprob for one in usual if one.spelled >= beginning.spelled)
    return beginning.logprob > next(as_long, best) + _LEAST


def _log_probabilities(logits: Logits, barred: Barred | None) -> Logits:
    return log_softmax(logits if barred is None else without(logits, barred))


def _logits_after(state: DecodingState, beginnings: Sequence[_Beginning]) -> list[Logits]:
    """The logits behind each beginning, all in one forward over their tree."""
    places: dict[tuple[int, ...], int] = {}
    for beginning in beginnings:
        for count in range(1, len(beginning.token_ids) + 1):
            places.setdefault(beginning.token_ids[:count], len(places))
    parents = tuple(places[path[:-1]] if path[:-1] else -1 for path in places)
    logits = state.score(Draft(tuple(path[-1] for path in places), parents))
    return [logits[places[beginning.token_ids]] for beginning in beginnings]
