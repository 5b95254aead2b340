"""Guesses from what is known: found again after any rewriting, longest match first, never longer than allowed."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from generation.decoding.drafting import LookupDrafter, NGramIndex

tokens = st.lists(st.integers(0, 3), max_size=60)


def test_what_followed_the_same_tokens_is_proposed() -> None:
    assert LookupDrafter().propose([1, 2, 3, 4, 5, 9, 1, 2, 3], 8) == [4, 5, 9, 1, 2]  # 2 n - 1 tokens
    assert LookupDrafter().propose([1, 2, 3, 4, 5, 9, 1, 2, 3], 2) == [4, 5]
    assert LookupDrafter().propose([1, 2, 3, 4, 5], 8) == []
    assert LookupDrafter().propose([], 8) == []


def test_the_latest_of_equal_places_wins() -> None:
    assert LookupDrafter().propose([1, 2, 7, 1, 2, 8, 1, 2], 1) == [8]


def test_a_longer_match_in_another_text_wins_and_an_equal_one_does_not() -> None:
    file = NGramIndex([5, 1, 2, 3, 6])
    assert LookupDrafter([file]).propose([1, 2, 7, 9, 5, 1, 2], 1) == [3]
    assert LookupDrafter([file]).propose([8, 1, 2, 7, 9, 1, 2], 1) == [7]


@settings(deadline=None)
@given(st.lists(tokens, min_size=1, max_size=5), tokens)
def test_an_index_that_was_rewritten_is_as_good_as_a_new_one(versions: list[list[int]], tail: list[int]) -> None:
    """It finds only what is there, and whatever a new index finds it finds as long, or misses it after a rewriting."""
    index = NGramIndex()
    for version in versions:
        index.update(version)
    match, end = index.find(tail)
    assert match == 0 or versions[-1][end - match : end] == tail[-match:]
    fresh, _ = NGramIndex(versions[-1]).find(tail)
    assert match <= 16
    assert (fresh == 0) <= (match == 0)


def test_a_growing_sequence_is_indexed_as_if_at_once() -> None:
    source = random.Random(0)
    ids = [source.randrange(3) for _ in range(300)]
    drafter = LookupDrafter()
    for length in range(len(ids)):
        assert drafter.propose(ids[:length], 5) == LookupDrafter().propose(ids[:length], 5)
