"""Guesses from what is known: found again after any rewriting, longest match first, and only as long as they pay."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.decoding.drafts.drafting import Odds
from generation.decoding.drafts.suffix_index import LONGEST_MATCH, SuffixIndex
from generation.decoding.step_costs import MOST_ROWS, StepCosts
from tests.decoding.drafts import FREE, lookup, rising
from tests.decoding.llama.networks import kernels

tokens = st.lists(st.integers(0, 3), max_size=60)
DEAR = rising(1.0)


def longest(text: Sequence[int], tail: Sequence[int]) -> int:
    """By looking everywhere."""

    def match(end: int) -> int:
        most = min(end, len(tail), LONGEST_MATCH)
        return next((n for n in range(most) if text[end - 1 - n] != tail[-1 - n]), most)

    best = max((match(end) for end in range(len(text))), default=0)
    return best if best >= 2 else 0


def test_what_followed_the_same_tokens_is_proposed() -> None:
    assert lookup().propose([1, 2, 3, 4, 5, 9, 1, 2, 3], 8) == [4, 5, 9, 1, 2, 3, 4, 5]  # the sequence may go round
    assert lookup().propose([1, 2, 3, 4, 5, 9, 1, 2, 3], 2) == [4, 5]
    assert lookup().propose([1, 2, 3, 4, 5], 8) == []
    assert lookup().propose([], 8) == []
    assert lookup().propose([1, 2, 3, 1, 2], 0) == []


def test_the_latest_of_equal_places_wins() -> None:
    assert lookup().propose([1, 2, 7, 1, 2, 8, 1, 2], 1) == [8]


def test_a_longer_match_in_another_text_wins_and_an_equal_one_does_not() -> None:
    file = [5, 1, 2, 3, 6]
    assert lookup(FREE, file).propose([1, 2, 7, 9, 5, 1, 2], 1) == [3]
    assert lookup(FREE, file).propose([8, 1, 2, 7, 9, 1, 2], 1) == [7]


@given(st.lists(tokens, min_size=1, max_size=5), tokens)
def test_an_index_that_was_rewritten_finds_the_longest_match(versions: list[list[int]], tail: list[int]) -> None:
    index = SuffixIndex(kernels())
    for version in versions:
        index.update(version)
    match, end = index.find(tail)
    assert match == longest(versions[-1], tail)
    assert versions[-1][end - match : end] == tail[len(tail) - match :]


def test_an_index_that_grew_and_shrank_is_as_a_new_one() -> None:
    """Thousands of tokens, so that its tables grow too."""
    source, text = random.Random(0), list[int]()
    index = SuffixIndex(kernels())
    for _ in range(60):
        text = text[: source.randrange(len(text) + 1)] if source.random() < 0.3 else text
        text = text + [source.randrange(40) for _ in range(source.randrange(300))]
        index.update(text)
        fresh = SuffixIndex(kernels(), text)
        for _ in range(20):
            place = source.randrange(len(text) + 1)
            assert index.find(text[:place]) == fresh.find(text[:place])
    assert len(text) > 1024


def test_a_draft_is_as_long_as_it_pays() -> None:
    line = list(range(100, 140))
    sequence = [*line, 7, *line[:12]]
    assert lookup(DEAR).propose(sequence, 16) == []
    assert lookup(FREE).propose(sequence, 16) == line[12:28]
    short, long = (lookup(rising(0.25)).propose([*line, 7, *line[:match]], 16) for match in (2, 12))
    assert len(short) < len(long)


def test_drafts_that_are_wrong_end_and_right_ones_come_back() -> None:
    """Two tokens recur all the time and what follows is never the same; later it always is."""
    guesser = lookup(rising(0.05))
    source, sequence, wrong = random.Random(1), [1, 2], list[int]()
    for _ in range(150):
        sequence += [source.randrange(1000, 10**6), 1, 2]
        wrong.append(len(guesser.propose(sequence, 16)))
    assert max(wrong[:5]) > 0
    assert sum(wrong[-50:]) == 0
    for _ in range(150):
        sequence += [3, 4, source.randrange(1000, 10**6), 1, 2]
        right = guesser.propose(sequence, 16)
    assert right[:2] == [3, 4]


def test_odds_start_with_what_is_usual_and_forget() -> None:
    odds = Odds()
    usual = [odds(match) for match in range(2, 40)]
    assert usual == sorted(usual)
    for _ in range(1000):
        odds.learn(2, right=True)
    assert odds(2) > 0.95
    for _ in range(400):
        odds.learn(2, right=False)
    assert odds(2) < 0.3
    assert odds(30) == usual[-1]


def test_costs_between_and_beyond_the_contexts_that_were_measured() -> None:
    costs = StepCosts((100, 200), (1.0,) * MOST_ROWS, (3.0,) * MOST_ROWS)
    assert [costs.rows_ms(context)[0] for context in (0, 100, 150, 300)] == [1.0, 1.0, 2.0, 5.0]


@pytest.mark.parametrize("limit", [1, 3])
def test_no_proposal_is_longer_than_allowed(limit: int) -> None:
    assert len(lookup().propose([1, 2] * 20, limit)) == limit
