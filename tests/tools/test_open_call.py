"""The call that is open at the end of unfinished code."""

from __future__ import annotations

import pytest

from generation.tools.open_call import OpenCall, open_call


@pytest.mark.parametrize(
    ("text", "by_place", "names"),
    [
        ("f(", 0, ()),
        ("f(a", 0, ()),
        ("f(a, ", 1, ()),
        ("f(a, b, c", 2, ()),
        ("f((a, b), [c, d], ", 2, ()),
        ("f('a, (', ", 1, ()),
        ('f(f"{a, b}", ', 1, ()),
        ("f(\n    a,  # one, two (\n    ", 1, ()),
        ("f(a == b, ", 1, ()),
        ("f(a, b=1, ", 1, ("b",)),
        ("f(a, b=g(c, d=2), e = 3, ", 1, ("b", "e")),
        ("f(*a, b, ", 0, ()),
        ("f(a, **b, c=1, ", 1, ("c",)),
        ("f(lambda x: x, ", 1, ()),
        ("f(lambda x, y=(1, 2): x, ", 1, ()),
        ("x = f(a, g(b, ", 1, ()),
        ("f(a)(b, c, ", 2, ()),
    ],
)
def test_arguments_that_are_there(text: str, by_place: int, names: tuple[str, ...]) -> None:
    call = open_call(text)
    assert call is not None
    assert (call.by_place, call.names) == (by_place, frozenset(names))


@pytest.mark.parametrize("text", ["", "f", "f()", "f[a, ", "{a, ", "f(a, [b, ", "f('a, ", "f(a):"])
def test_no_call_is_open(text: str) -> None:
    assert open_call(text) is None


def test_where_the_arguments_start() -> None:
    text = "x = f(a, g(b, "
    assert open_call(text) == OpenCall(len("x = f(a, g("), 1, frozenset())
