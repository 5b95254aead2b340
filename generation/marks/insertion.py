"""Where a mark goes in the text: pure rules on visible text, the same for training and decoding.

A mark stands where the name is about to be written. When a space separates the name from what is before it, the mark
goes before the space, because tokenizers join a space to the word behind it: ``return<COMP> helper`` keeps the token
`` helper``, which ``return <COMP>helper`` would break. Start reading at ``mark_offset``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def mark_offset(text: str, name_offset: int) -> int:
    """Where the mark of the name at ``name_offset`` is put."""
    return name_offset - 1 if text[name_offset - 1 : name_offset] == " " else name_offset


def pieces(text: str, name_offsets: Sequence[int]) -> list[str]:
    """``text`` cut at the marks of names: between two pieces stands a mark. Joined they are ``text`` again."""
    cuts = [0, *sorted({mark_offset(text, offset) for offset in name_offsets}), len(text)]
    return [text[start:end] for start, end in pairwise(cuts)]
