"""Answers are kept as long as there is room, those used last the longest."""

from __future__ import annotations

from pathlib import Path

from generation.tools import answer_cache
from generation.tools.answer_cache import AnswerCache, AnswerKey, JediAnswer
from generation.tools.filtering import Facts


def key(number: int) -> AnswerKey:
    return AnswerKey(Path("a.py"), number, "self", "")


def test_what_is_used_stays_and_the_rest_goes_when_there_is_no_room() -> None:
    cache = AnswerCache()
    for number in range(answer_cache.MOST_ANSWERS + 10):
        cache.put(key(number), JediAnswer((("name", "function"),), Facts()), [], 0)
        assert cache.get(key(0)), number
    assert cache.get(key(1)) is None
    assert cache.get(key(11))
