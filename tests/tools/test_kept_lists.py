"""Lists that one process leaves for the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from generation.tools import kept_lists
from generation.tools.kept_lists import KeptLists


def test_another_process_finds_what_was_kept(tmp_path: Path) -> None:
    first = KeptLists(tmp_path / "new", "3.11")
    first.keep("str", [["upper", "function"]])
    assert first.get("str") == [["upper", "function"]]
    assert KeptLists(tmp_path / "new", "3.11").get("str") == [["upper", "function"]]
    assert KeptLists(tmp_path / "new", "3.12").get("str") is None
    assert first.get("int") is None


def test_a_broken_line_loses_itself_only(tmp_path: Path) -> None:
    KeptLists(tmp_path, "").keep("a", [1])
    (path,) = tmp_path.iterdir()
    kept = path.read_bytes()
    path.write_bytes(b'["half\n7\nnull\n\xff\n["one"]\n[["list"], 2]\n' + kept + b'["b", [2]]\n["c", [3')
    found = KeptLists(tmp_path, "")
    assert (found.get("a"), found.get("b"), found.get("c")) == ([1], [2], None)


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_list(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    lists = KeptLists(tmp_path / "file" / "folder", "")
    lists.keep("a", [1])
    assert lists.get("a") == [1]


def test_there_is_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_lists, "MOST_LISTS", 3)
    for number in range(9):
        KeptLists(tmp_path, "").keep(str(number), number)
    (path,) = tmp_path.iterdir()
    assert len(path.read_text().splitlines()) == 3
