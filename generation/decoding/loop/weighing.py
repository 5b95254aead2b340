"""A mark is no text, so it is weighed against what can be written without it.

Knows logits and a sequence, no text and no tool. Start reading at ``with_and_without``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from generation.decoding.tokens.logits import softmax, without
from generation.interfaces import DecodingState
from generation.types import Draft

if TYPE_CHECKING:
    from generation.interfaces import Barred, Logits


def or_mark(token_id: int, logits: Logits, barred: Barred, mark_id: int | None, share: float | None) -> int:
    """The likeliest token, or the mark where it has at least ``share`` of its probability; None never takes the mark.

    Args:
        token_id: the likeliest token that is not barred.
        logits: (V,) float32.
        barred: (V,) bool.
        mark_id: None where the model has no mark.
        share: from 0 to 1.
    """
    if share is None or mark_id is None or barred[mark_id]:
        return token_id
    return mark_id if float(logits[mark_id] - logits[token_id]) >= math.log(share) else token_id


def score_mark(state: DecodingState, mark_id: int, guess: Sequence[int] = (), rival: int | None = None) -> Logits:
    """Logits (K, V) behind a mark first, then of what is scored with it.

    Args:
        state: the sequence.
        mark_id: of the mark.
        guess: what may follow the mark.
        rival: what comes without the mark, and so probably behind it, too.
    """
    beside = [(-1, rival), (0, rival)] if rival is not None else []
    parents = (*range(-1, len(guess)), *(parent for parent, _ in beside))
    return state.score(Draft((mark_id, *guess, *(token_id for _, token_id in beside)), parents))


def with_and_without(
    logits: Logits, behind: Logits, mark_id: int, barred: Barred, barred_behind: Barred
) -> tuple[Logits, Logits]:
    """The probability of each token without the mark, and behind it; (V,) both, and together they make one.

    Args:
        logits: (V,) of the next token.
        behind: (V,) of the one behind the mark.
        mark_id: of the mark.
        barred: (V,) bool, of the next token.
        barred_behind: of the one behind the mark.
    """
    plain = softmax(without(logits, barred))
    marked = softmax(without(behind, barred_behind)) * plain[mark_id]
    plain[mark_id] = 0.0
    return plain, marked
