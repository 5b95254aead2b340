"""The published expression on marked functions written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from generation.config import ToolConfig
from generation.evaluation.metrics.published import hits, mark_names, marked_names
from generation.source.functions import find_function
from generation.tools.references import References

M = "<COMP>"


@pytest.mark.parametrize(
    ("marked", "names"),
    [
        (f"    return self.{M}find(isbn)\n", {"self.find"}),
        (f"    return self.{M}app.{M}config\n", {"app.config"}),  # one name before the dot; `.` ends no match
        (f"    return {M}helper(x)\n", {"helper"}),
        (f"    return f({M}one,{M}two)\n", {"one"}),  # the comma is eaten
        (f"    return f({M}one, {M}two)\n", {"one", "two"}),
        (f"    x = 1\n    return {M}x\n", set()),  # a local
        (f"    with open(p) as {M}stream:\n        return {M}stream\n", set()),
        (f"    for {M}item in y:\n        print({M}item)\n", set()),
        (f"    return {M}isbn\n", set()),  # a parameter
        (f"    return isbn.{M}strip()\n", {"isbn.strip"}),
        (f"    {M}name = 1\n", set()),  # an assignment
        (f"    return 'self.{M}find('\n", set()),  # in a string
        (f"    {M}helper(x)\n    y = 2\n", set()),  # taken for a local: an `=` follows somewhere
    ],
)
def test_names_behind_marks(marked: str, names: set[str]) -> None:
    assert marked_names(marked, "def f(self, isbn):") == names


def test_a_hit_is_a_word_anywhere() -> None:
    names = {"self.find", "helper", "app.config"}
    assert hits("    return myself.find() + helpers + app.config2\n", names) == frozenset()
    assert hits("    return self.find(helper)  # app.config\n", names) == names
    assert hits("    return 'helper'\n", names) == frozenset()


def test_marks_stand_where_jedi_completes(tmp_path: Path) -> None:
    text = (
        "import json\n\n\nclass Shop:\n    stock = 1\n\n    def first(self, key):\n        'd'\n"
        "        count = self.stock + len(key)\n        return json.dumps(count, self.nothing)\n"
    )
    (tmp_path / "shop.py").write_text(text)
    site = find_function(text, "Shop.first")
    with References(tmp_path, ToolConfig(cache=tmp_path / "cache")) as references:
        marked = mark_names(references, "shop.py", text, (site.body_start, site.body_end))
    # the open bracket hides the second `self` from Jedi, which is shown the text as it is
    assert marked == (
        f"        count = {M}self.{M}stock + len({M}key)\n        return {M}json.{M}dumps({M}count, self.nothing)\n"
    )
