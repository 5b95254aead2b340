"""The exact start inside a word, against every sequence of a small vocabulary written out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.decoding.tokens.covering import covers
from generation.decoding.tokens.logits import softmax
from generation.decoding.tokens.vocabulary import Vocabulary
from generation.types import Draft

if TYPE_CHECKING:
    from generation.interfaces import Logits

PIECES = [b"a", b"b", b"ab", b"ba", b"aab", b"abb"]


class Tokenizer:
    token_bytes: Sequence[bytes] = PIECES
    eos_ids: frozenset[int] = frozenset()
    bos_id: int | None = None
    mark_id: int | None = None

    def encode(self, text: str) -> list[int]:
        """The longest piece first."""
        ids: list[int] = []
        while text:
            ids.append(
                max(
                    (i for i in range(len(PIECES)) if text.encode().startswith(PIECES[i])), key=lambda i: len(PIECES[i])
                )
            )
            text = text[len(PIECES[ids[-1]]) :]
        return ids


class State:
    """A model that looks back two tokens; how it likes what follows depends on a seed."""

    def __init__(self, seed: int) -> None:
        sizes = (len(PIECES) + 1, len(PIECES) + 1, len(PIECES))
        self.table = np.random.default_rng(seed).standard_normal(sizes, np.float32) * 2
        self.next_logits = self.logits(())

    def logits(self, token_ids: Sequence[int]) -> Logits:
        first, second = [-1, -1, *token_ids][-2:]
        return self.table[first, second]

    def score(self, draft: Draft) -> Logits:
        return np.stack([self.logits(_path(draft, node)) for node in range(len(draft))])

    def probability(self, token_ids: Sequence[int]) -> float:
        steps = (softmax(self.logits(token_ids[:i]))[token] for i, token in enumerate(token_ids))
        return math.prod(map(float, steps))


def _path(draft: Draft, node: int) -> list[int]:
    return [] if node < 0 else [*_path(draft, draft.parents[node]), draft.token_ids[node]]


def _spelled(token_ids: Sequence[int]) -> bytes:
    return b"".join(PIECES[token] for token in token_ids)


@given(seed=st.integers(0, 1000), required=st.text("ab", min_size=1, max_size=4).map(str.encode))
@settings(max_examples=60)
def test_the_covers_are_the_distribution_of_a_model_without_tokens(seed: int, required: bytes) -> None:
    state = State(seed)
    found, _ = covers(state, Vocabulary(Tokenizer()), required, np.zeros(len(PIECES), np.bool_))  # type: ignore[arg-type]
    for cover in found:
        assert math.exp(cover.logprob) == pytest.approx(state.probability(cover.token_ids), rel=1e-4)
        assert _spelled(cover.token_ids).startswith(required)
        assert len(_spelled(cover.token_ids[:-1])) < len(required)
    sequences = list(itertools.product(range(len(PIECES)), repeat=len(required)))
    wanted = sum(state.probability(one) for one in sequences if _spelled(one).startswith(required))
    assert sum(math.exp(cover.logprob) for cover in found) == pytest.approx(wanted, rel=1e-2)
    assert [cover.logprob for cover in found] == sorted((cover.logprob for cover in found), reverse=True)


def test_what_is_barred_has_no_part_in_it() -> None:
    barred = np.array([piece == b"ab" for piece in PIECES])
    found, forwards = covers(State(1), Vocabulary(Tokenizer()), b"ab", barred)  # type: ignore[arg-type]
    assert all(PIECES[token] != b"ab" for cover in found for token in cover.token_ids)
    assert forwards == 1


@pytest.mark.parametrize("required", [b"ab" * 100, b"a" * 200, b"abbaab" * 40])
def test_a_long_name_takes_few_forwards(required: bytes) -> None:
    found, forwards = covers(State(3), Vocabulary(Tokenizer()), required)  # type: ignore[arg-type]
    assert forwards <= 16
    assert found
    assert all(_spelled(cover.token_ids).startswith(required) for cover in found)
