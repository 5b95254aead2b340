from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.marks.marked_text import MARK, insert, split, strip

# Texts rich in spellings of the mark and of its escapes.
texts = st.lists(st.sampled_from(["<COMP>", "<COMP\\>", "<COMP", "<", "\\", ">", "x", "é", "\n", "\U0001f600"])).map(
    "".join
)


@st.composite
def text_and_offsets(draw: st.DrawFn) -> tuple[str, list[int]]:
    text = draw(texts)
    return text, draw(st.lists(st.integers(0, len(text)), max_size=6))


@given(text_and_offsets())
def test_stripping_gives_back_the_text(case: tuple[str, list[int]]) -> None:
    text, offsets = case
    assert strip(insert(text, offsets)) == text


@given(text_and_offsets())
def test_splitting_gives_back_text_and_offsets(case: tuple[str, list[int]]) -> None:
    text, offsets = case
    assert split(insert(text, offsets)) == (text, tuple(sorted(set(offsets))))


@given(text_and_offsets())
def test_marked_text_holds_exactly_the_marks_put_there(case: tuple[str, list[int]]) -> None:
    text, offsets = case
    assert insert(text, offsets).count(MARK) == len(set(offsets))


def test_marks_stand_before_the_names() -> None:
    assert insert("self.send(x)", [5, 10]) == "self.<COMP>send(<COMP>x)"


def test_a_spelled_mark_is_escaped_and_no_mark() -> None:
    assert insert("s = '<COMP>'", []) == "s = '<COMP\\>'"


@pytest.mark.parametrize("offset", [-1, 4])
def test_an_offset_outside_the_text_is_refused(offset: int) -> None:
    with pytest.raises(ValueError, match="leave the text of 3 characters"):
        insert("abc", [offset])
