"""What is offered, in which order, and which lists are believed."""

from __future__ import annotations

import pytest

from generation.tools.filtering import (
    MOST_INDEX_NAMES,
    Facts,
    attribute_suggestions,
    attributes_trusted,
    name_suggestions,
    names_trusted,
)
from generation.types import SuggestionSource

FOUND = (("send", "function"), ("_state", "instance"), ("__enter__", "function"), ("__class__", "class"))
KNOWN = Facts(("instance",))


def names(found: tuple[tuple[str, str], ...], receiver: str = "x", code: str = "") -> list[str]:
    return [suggestion.name for suggestion in attribute_suggestions(found, [], [], receiver, code)]


def test_special_names_only_where_they_are_meant() -> None:
    assert names(FOUND) == ["send", "_state", "__class__"]
    assert "__enter__" in names(FOUND, "super()")
    assert "__enter__" in names(FOUND, "pkg.Base")
    assert "__enter__" in names(FOUND, code="with_it = y.__enter__()")


def test_mangled_names_only_where_the_file_uses_them() -> None:
    found = (("__secret", "instance"),)
    assert names(found) == []
    assert names(found, code="self.__secret = 1") == ["__secret"]


def test_sources_in_order_without_duplicates() -> None:
    merged = attribute_suggestions((("a", "function"), ("no-name", "")), ["b", "a"], ["c", "b", "mw_"], "x", "")
    assert [(s.name, s.source) for s in merged] == [
        ("a", SuggestionSource.JEDI),
        ("b", SuggestionSource.SCOPE),
        ("c", SuggestionSource.INDEX),
    ]


def test_index_is_cut() -> None:
    assert len(attribute_suggestions((), [], [f"n{i}" for i in range(500)], "x", "")) == MOST_INDEX_NAMES


def test_names_hold_scope_file_builtins_and_keywords() -> None:
    offered = {s.name: s for s in name_suggestions(("päth",), (("Session", "class"), ("if", "keyword")), False)}
    assert offered["päth"].source is SuggestionSource.SCOPE
    assert {"Session", "len", "None", "not", "lambda", "await"} <= offered.keys()
    assert "if" not in offered
    assert "if" in {s.name for s in name_suggestions((), (), True)}


@pytest.mark.parametrize(
    ("facts", "found", "receiver", "trusted"),
    [
        (KNOWN, FOUND, "self", True),
        (Facts(("module",)), FOUND, "os", True),
        (KNOWN, (), "self", False),
        (KNOWN, (("__class__", "class"),), "self", False),
        (Facts(), FOUND, "x", False),
        (Facts(("instance",), dynamic=True), FOUND, "x", False),
        (Facts(("instance",), unresolved=True), FOUND, "x", False),
        (Facts(("function", "instance")), FOUND, "x", False),
        (KNOWN, FOUND, "super()", False),
    ],
)
def test_trust_in_members(facts: Facts, found: tuple[tuple[str, str], ...], receiver: str, trusted: bool) -> None:
    assert attributes_trusted(facts, found, receiver) is trusted


def test_trust_in_names() -> None:
    assert names_trusted(Facts(), FOUND)
    assert not names_trusted(Facts(unresolved=True), FOUND)
    assert not names_trusted(Facts(), ())
