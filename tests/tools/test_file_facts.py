"""Facts of a file."""

from __future__ import annotations

import pytest

from generation.tools.file_facts import read_facts


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_any_line_end(newline: str) -> None:
    facts = read_facts(f"import os{newline}{newline}{newline}LIMIT = 3{newline}", uses=False)
    assert [(found.name, found.signature) for found in facts.definitions] == [("LIMIT", "LIMIT = 3")]
