"""Texts that are nearly the same."""

from __future__ import annotations

import subprocess
import sys

from generation.training.near_duplicates import NearDuplicates

WORDS = [f"word{number}" for number in range(200)]


def test_a_copy_with_a_few_words_changed_is_seen() -> None:
    seen = NearDuplicates()
    assert not seen.seen(" ".join(WORDS))
    assert seen.seen(" ".join(["other", *WORDS[1:150], "another", *WORDS[151:]]))


def test_half_of_a_text_is_another_text() -> None:
    seen = NearDuplicates()
    seen.seen(" ".join(WORDS))
    assert not seen.seen(" ".join(WORDS[:100]))


def test_short_and_empty_texts() -> None:
    seen = NearDuplicates()
    assert [seen.seen(text) for text in ("", "return None", "return True", "return None", "")] == [
        False, False, False, True, True,
    ]  # fmt: skip


def test_what_is_missing_is_named() -> None:
    script = "import sys; sys.modules['datasketch'] = None\nfrom generation.training.near_duplicates import NearDuplicates\nNearDuplicates()\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert "datasketch is not installed; it comes with: pip install 'memberwise[train]'" in done.stderr
