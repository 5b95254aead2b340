"""The difference of two texts as ``git apply`` reads it. Start reading at ``unified_diff``."""

from __future__ import annotations

import difflib
import io


def unified_diff(old: str, new: str, name: str) -> str:
    """The change of one file as ``git apply`` reads it; empty when there is none.

    Args:
        old: text before.
        new: text after.
        name: path of the file with ``/``, relative to where the diff is to be applied.
    """
    shown = f"{name}\t" if " " in name else name  # a tab ends a name that holds spaces
    lines = difflib.unified_diff(git_lines(old), git_lines(new), f"a/{shown}", f"b/{shown}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def git_lines(text: str) -> list[str]:
    """Lines as git sees them: only a line feed ends one."""
    return list(io.StringIO(text, newline="\n"))
