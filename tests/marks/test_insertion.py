"""Where a mark is put, and that taking it out again gives the text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from generation.marks.insertion import mark_offset, pieces
from generation.marks.marked_text import insert, strip


def test_a_mark_stands_before_the_space_that_belongs_to_the_name() -> None:
    text = "return helper(self.name, other)"
    names = [text.index(name) for name in ("helper", "name", "other")]
    assert pieces(text, names) == ["return", " helper(self.", "name,", " other)"]


def test_one_space_only() -> None:
    assert [mark_offset("a  b", 3), mark_offset("a\tb", 2), mark_offset("b", 0)] == [2, 2, 0]


@given(st.text(alphabet="ab ._(<COMP>\\\n"), st.data())
def test_without_marks_it_is_the_text(text: str, data: st.DataObject) -> None:
    offsets = data.draw(st.lists(st.integers(0, len(text)), max_size=6))
    assert "".join(pieces(text, offsets)) == text
    assert strip(insert(text, [mark_offset(text, offset) for offset in offsets])) == text
