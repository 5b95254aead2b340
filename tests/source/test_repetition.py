"""What only says again, and from where on."""

from __future__ import annotations

import pytest

from generation.source.repetition import certain_length, loops, repetition_start, trim_repetition


def test_repetition_at_the_end_is_kept_once() -> None:
    assert trim_repetition("    a\n" + "    b\n    c\n" * 4) == "    a\n    b\n    c\n"
    assert trim_repetition("    a\n    b\n    b\n") == "    a\n    b\n    b\n"


def test_closing_brackets_below_each_other_are_no_repetition() -> None:
    text = "    f(\n        g(\n            h(\n            )\n        )\n    )\n"
    assert trim_repetition(text) == text


@pytest.mark.parametrize(
    ("text", "certain"),
    [
        ("    a\n    b\n", "    a\n    b\n"),
        ("    a = 1\n    a", "    a = 1\n"),  # may become the same line
        ("    a = 1\n    a = 2", "    a = 1\n    a = 2"),
        ("    a\n    b\n    a\n    b", "    a\n    b\n"),
        ("    a\n    b\n    a\n    c", "    a\n    b\n    a\n    c"),
        ("", ""),
    ],
)
def test_certain_length(text: str, certain: str) -> None:
    assert text[: certain_length(text)] == certain


@pytest.mark.parametrize(
    ("text", "looping"),
    [
        ("    # 1.1.1.1.1.1.1.1.1.1", True),
        ("    x = 'abcabcabcabcabcabcabcabcabc", True),
        ("    # -----------------------------", False),  # a separator
        ("    x = 10000000", False),
        ("    a.b.c.d(e, f, g)", False),
        ("    # 1.1.1.1.1.1.1.1.1.1\n    x", False),
    ],
)
def test_a_line_that_loops(text: str, looping: bool) -> None:
    assert loops(text) is looping


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("    if a:\n        if a:\n            if a:\n", "    if a:\n"),
        (
            "    if a:\n        # b\n        if a:\n            # b\n            if a:\n                # b\n",
            "    if a:\n        # b\n",
        ),
        ("    if a:\n        b\n    if c:\n        b\n    if d:\n        b\n", None),
        ("    x = f(g.get(g.get(g.get(g.get(g.get(g.get(g.get(g.get(", "    x = f(g.get"),
        (
            "    return R(\n        Ext(ext), Ext(ext), Ext(ext), Ext(ext), Ext(ext), Ext(ext), Ext(ext)",
            "    return R(\n        Ext(ext),",
        ),
        (
            "    a(n=t(n=x, g=t(n=x.y, g=t(n=x, g=t(n=x.z, g=t(n=x.y, g=t(n=x",
            "    a(n=t(n=x, g=",
        ),
        ("    p = dirname(dirname(dirname(dirname(__file__))))", None),
        ("    x = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0", None),
        ("    f(first_name=first_name, last_name=last_name, other_name=other_name)", None),
    ],
)
def test_where_repetition_starts(text: str, kept: str | None) -> None:
    start = repetition_start(text)
    assert (None if start is None else text[:start].rstrip()) == kept.rstrip() if kept is not None else start is None


def test_what_a_line_says_twice_is_not_certain() -> None:
    text = "    x = clock.get(clock.get("
    assert text[: certain_length(text)] == "    x = clock.get("
    assert certain_length("    x = clock.get(clock.got") == len("    x = clock.get(clock.got")
