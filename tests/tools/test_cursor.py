"""What is at a cursor, on marked text: ``$0`` is the cursor."""

from __future__ import annotations

import pytest

from generation.errors import TargetError
from generation.tools.cursor import LONGEST_STATEMENT, CursorSite, find_cursor
from generation.types import Extent

CLASS = "class Desk:\n    def lend(self, book):\n"


def at(marked: str, *, invoked: bool = False) -> CursorSite:
    before, _, after = marked.partition("$0")
    return find_cursor(before, after, invoked=invoked)


@pytest.mark.parametrize(
    ("marked", "stem", "prefix"),
    [
        ("x = self.co$0", "x = self.", "co"),
        ("x = self.$0", "x = self.", ""),
        ("x = $0", "x = ", ""),
        ("    ret$0", "    ", "ret"),
        ("x = f(\n    a,\n    b$0", "x = f(\n    a,\n    ", "b"),
        ("x = 12$0", "x = 12", ""),
        ("x = größe$0", "x = ", "größe"),
        ("# a note$0", "# a ", "note"),
        ("y = 1\n# a note$0", "# a ", "note"),
        ("a = 1; b.c$0", "a = 1; b.", "c"),
        ("if a:\n    x.y$0", "    x.", "y"),
    ],
)
def test_the_statement_and_the_name_that_have_begun(marked: str, stem: str, prefix: str) -> None:
    site = at(marked)
    assert (site.stem, site.prefix) == (stem, prefix)
    assert site.before + site.stem + site.prefix == marked.removesuffix("$0")


@pytest.mark.parametrize(
    ("marked", "extent", "fresh"),
    [
        (f"{CLASS}        $0\n", Extent.BLOCK, True),  # a fresh block
        (f'{CLASS}        """Lend."""\n        $0\n', Extent.BLOCK, True),  # a stub
        (f"{CLASS}        for a in b:\n            $0\n        return a\n", Extent.BLOCK, True),
        (f"{CLASS}        $0\n        return 1\n", Extent.LINE, False),  # the block goes on below
        (f"{CLASS}        a = 1\n        $0\n", Extent.LINE, False),
        (f"{CLASS}        a = $0\n", Extent.LINE, False),
        (f"{CLASS}        a = f($0)\n", Extent.LINE, False),
        ("$0", Extent.LINE, False),
    ],
)
def test_how_much_is_written_by_itself(marked: str, extent: Extent, fresh: bool) -> None:
    site = at(marked)
    assert (site.extent, site.fresh) == (extent, fresh)


def test_who_asks_gets_a_block_but_not_in_the_middle_of_a_line() -> None:
    assert at(f"{CLASS}        a = 1\n        $0\n", invoked=True).extent is Extent.BLOCK
    assert at(f"{CLASS}        a = f($0)\n", invoked=True).extent is Extent.LINE


@pytest.mark.parametrize(
    ("marked", "lead", "indent"),
    [
        (f"{CLASS}$0\n", "        ", "        "),
        (f"{CLASS}    $0\n", "    ", "        "),
        (f"{CLASS}        $0\n", "", "        "),
        ("def f():\n$0", "    ", "    "),
        ("if a:\n\tb\nfor x in y:\n$0", "\t", "\t"),
        ("x = 1\n$0", "", ""),
    ],
)
def test_an_empty_line_gets_the_indentation_it_lacks(marked: str, lead: str, indent: str) -> None:
    site = at(marked)
    assert (site.lead, site.indent, site.stem) == (lead, indent, indent)


@pytest.mark.parametrize(
    ("marked", "owner"),
    [
        (f"{CLASS}        $0", "Desk"),
        ("class A:\n    class B:\n        def f(self):\n            $0", "A.B"),
        ("def f():\n    class A:\n        def g(self):\n            $0", ""),
        ("class A:\n    def f(self):\n        pass\n\nx = $0", ""),
    ],
)
def test_the_class_around(marked: str, owner: str) -> None:
    assert at(marked).owner == owner


@pytest.mark.parametrize("marked", ["x = se$0lf", "x = f(" + "a, " * LONGEST_STATEMENT + "$0"])
def test_places_where_nothing_is_completed(marked: str) -> None:
    with pytest.raises(TargetError):
        at(marked)
