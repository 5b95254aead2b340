"""Completions are found again where they hold, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from lsp_server.completion_cache import CompletionCache, Place


@dataclass(frozen=True)
class Made:
    text: str


def cache(text: str, *, long: bool = False) -> CompletionCache[Made]:
    made: CompletionCache[Made] = CompletionCache()
    made.put(Place("u", "x = ", "\ny"), Made(text), long=long)
    return made


@pytest.mark.parametrize(
    ("before", "after", "typed"),
    [
        ("x = ", "\ny", ""),
        ("x = se", "\ny", "se"),
        ("x = self", "\ny", None),  # nothing is left
        ("x = so", "\ny", None),
        ("x =", "\ny", None),
        ("z = ", "\ny", None),
        ("x = ", "\nz", None),
    ],
)
def test_typed_through(before: str, after: str, typed: str | None) -> None:
    found = cache("self").find(Place("u", before, after), long=False)
    assert (found and found[1]) == typed


def test_an_empty_answer_holds_only_where_it_was_made() -> None:
    assert cache("").find(Place("u", "x = ", "\ny"), long=False)
    assert cache("").find(Place("u", "x = 1", "\ny"), long=False) is None


def test_a_line_does_not_answer_who_wants_a_block() -> None:
    assert cache("self").find(Place("u", "x = ", "\ny"), long=True) is None
    assert cache("self", long=True).find(Place("u", "x = ", "\ny"), long=False)


def test_the_newest_wins_and_old_ones_go() -> None:
    made = cache("old")
    made.put(Place("u", "x = ", "\ny"), Made("new"), long=False)
    found = made.find(Place("u", "x = ", "\ny"), long=False)
    assert found
    assert found[0].text == "new"
    for number in range(40):
        made.put(Place("u", f"{number}", ""), Made("t"), long=False)
    assert made.find(Place("u", "x = ", "\ny"), long=False) is None


def test_other_documents_are_other_places_and_can_be_forgotten() -> None:
    made = cache("self")
    assert made.find(Place("v", "x = ", "\ny"), long=False) is None
    made.forget("u")
    assert made.find(Place("u", "x = ", "\ny"), long=False) is None
