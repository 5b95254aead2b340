"""Diffs against git itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from generation.source.text_diff import unified_diff

CHANGES = [
    ("a\nb\nc\n", "import x\na\nB\nc\n"),
    ("a\nb", "a\nB\n"),
    ("a\nb\n", "a\nB"),
    ("a\r\nb\r\n", "a\r\nB\r\nc\r\n"),
    ("a\x0cb\rc\n", "a\x0cb\rd\n"),
]


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_git_applies_a_diff(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "a file.py"
    path.write_bytes(old.encode())
    diff = unified_diff(old, new, "a file.py").encode()
    subprocess.run(["git", "apply", "-"], input=diff, cwd=tmp_path, check=True, timeout=30, capture_output=True)
    assert path.read_bytes() == new.encode()


def test_no_change_is_no_diff() -> None:
    assert unified_diff("a\n", "a\n", "a.py") == ""
