"""Positions: every encoding, every line end, everything outside of the text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol.types import Position, Range

from lsp_server.convert import Lines, encodable, points_in, units_of

ENCODINGS = ("utf-8", "utf-16", "utf-32")
SIZES = {"utf-8": 1, "utf-16": 2, "utf-32": 4}
TEXTS = st.text(alphabet=st.sampled_from("aß€🎉\t\f\r\n\u2028 "), max_size=40)


@pytest.mark.parametrize(("encoding", "units"), [("utf-8", 10), ("utf-16", 5), ("utf-32", 4)])
def test_a_line_with_emoji(encoding: str, units: int) -> None:
    text = "x\nß€🎉a\n"  # 2 + 3 + 4 + 1 bytes; 1 + 1 + 2 + 1 units of UTF-16
    lines = Lines(text, encoding)
    assert lines.position(len(text) - 1) == Position(1, units)
    assert lines.offset(Position(1, units)) == len(text) - 1


def test_a_position_inside_a_character_is_moved_to_its_start() -> None:
    assert points_in("a🎉b", 2, "utf-16") == 1
    assert points_in("a🎉b", 3, "utf-8") == 1
    assert points_in("a🎉b", 3, "utf-16") == 2


def test_only_line_feeds_and_carriage_returns_end_lines() -> None:
    text = "a\fb\u2028c\x85d\x1ce\r\nsecond\rthird\nfourth"
    lines = Lines(text)
    assert [lines.line(number) for number in range(4)] == ["a\fb\u2028c\x85d\x1ce", "second", "third", "fourth"]
    assert lines.offset(Position(1, 0)) == text.index("second")


@pytest.mark.parametrize("text", ["", "a", "a\n", "a\r\n", "\n\n"])
def test_positions_outside_are_moved_inside(text: str) -> None:
    lines = Lines(text)
    assert lines.offset(Position(99, 99)) == len(text)
    assert lines.offset(Position(0, 99)) == len(text.rstrip("\r\n"))
    assert lines.position(99) == lines.position(len(text))


def test_a_range_given_backwards_is_turned_around() -> None:
    assert Lines("abc\n").span(Range(Position(0, 2), Position(0, 1))) == (1, 2)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(text=TEXTS)
def test_units_are_those_of_the_codec(encoding: str, text: str) -> None:
    codec = "utf-8" if encoding == "utf-8" else f"{encoding}-le"
    assert units_of(text, encoding) == len(text.encode(codec)) // SIZES[encoding]


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(text=TEXTS)
def test_every_offset_comes_back(encoding: str, text: str) -> None:
    lines = Lines(text, encoding)
    for offset in range(len(text) + 1):
        inside_a_line_end = text[offset - 1 : offset + 1] == "\r\n"
        assert inside_a_line_end or lines.offset(lines.position(offset)) == offset


@given(text=TEXTS, edits=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), TEXTS), min_size=1, max_size=4))
def test_lines_that_were_edited_are_those_of_the_new_text(text: str, edits: list[tuple[int, int, str]]) -> None:
    lines = Lines(text)
    for start, length, new in edits:
        lines, text = lines.edited(start, start + length, new), text[:start] + new + text[start + length :]
        assert lines.text == text
        afresh = Lines(text)
        assert [lines.position(at) for at in range(len(text) + 1)] == list(map(afresh.position, range(len(text) + 1)))


def test_lone_surrogates_do_no_harm() -> None:
    assert Lines("\ud83d x", "utf-8").position(3) == Position(0, 5)
    assert encodable("a\ud83d🎉\udfff") == "a\ufffd🎉\ufffd"
