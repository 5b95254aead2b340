"""What is at a cursor: the statement that has begun, the name that is being typed, and how much to write.

Reads text alone and asks nobody. Start reading at ``find_cursor``; ``service.Session.complete`` is what becomes of a
``CursorSite``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from generation.errors import TargetError
from generation.tools.repair import Statement, open_blocks, statements
from generation.types import Extent

LONGEST_STATEMENT = 20_000  # characters up to the cursor
_DEFAULT_INDENT = "    "
_NAME_TYPED = re.compile(r"(?<![\w.])[^\W\d]\w*\Z|(?<=\.)[^\W\d]\w*\Z")
_INDENTED = re.compile(r"^[^\s#].*:[ \t]*(?:#.*)?\n+([ \t]+)[^\s#]", re.MULTILINE)
_CODE_LINE = re.compile(r"^([ \t]*)[^\s#]", re.MULTILINE)
_CLASS_NAME = re.compile(r"class[ \t]+(\w+)")
_STRING = re.compile(r"[rRuUbB]?['\"]")


@dataclass(frozen=True, slots=True)
class CursorSite:
    """A cursor in a text, with line feeds only.

    Attributes:
        before: the text up to the line that the statement at the cursor starts on.
        stem: that statement up to the name that is being typed; on an empty line the indentation that belongs there.
        lead: what of the stem's indentation the text lacks, so that it has to be inserted.
        prefix: the name as far as it is typed.
        after: the text behind the cursor.
        indent: of the block.
        extent: how much to write.
        fresh: a block was opened and has nothing in it.
        owner: the class around the cursor, dotted; empty outside of classes.
    """

    before: str
    stem: str
    lead: str
    prefix: str
    after: str
    indent: str
    extent: Extent
    fresh: bool
    owner: str


def find_cursor(before: str, after: str, *, invoked: bool = False) -> CursorSite:
    """The cursor between two texts.

    Args:
        before: the text up to the cursor.
        after: the text behind it.
        invoked: the user asked, so that more than a line is welcome.

    Raises:
        TargetError: nothing can be completed here; the message is for the user.
    """
    rest = after.partition("\n")[0]
    if re.match(r"\w", rest) and re.match(r"\w", before[-1:]):
        raise TargetError("the cursor is inside a word")
    *above, current = statements(before)
    line_start = before.rfind("\n") + 1
    start = min(current.start - len(current.indent), line_start) if current.start < len(before) else line_start
    typed = before[start:]
    if len(typed) > LONGEST_STATEMENT or len(rest) > LONGEST_STATEMENT:
        raise TargetError(f"the statement is too long: over {LONGEST_STATEMENT:,} characters")
    prefix = _typed_name(typed)
    stem = typed[: len(typed) - len(prefix)]
    indent = typed[: len(typed) - len(typed.lstrip(" \t"))]
    blank = not typed.strip()
    lead = _missing_indent(before, above, indent) if blank else ""
    indent += lead
    fresh = blank and _is_fresh(before, above, indent, after)
    block = not rest.strip() and (fresh or invoked)
    extent = Extent.BLOCK if block else Extent.LINE
    return CursorSite(
        before[:start], stem + lead, lead, prefix, after, indent, extent, fresh, _owner(before, above, indent)
    )


def _typed_name(typed: str) -> str:
    """The identifier at the end; a number's digits and a string's prefix are none."""
    found = _NAME_TYPED.search(typed)
    return found[0] if found else ""


def _missing_indent(before: str, above: list[Statement], indent: str) -> str:
    """What an empty line lacks to be indented as the block that the last statement opens."""
    if not above or not above[-1].opens_block:
        return ""
    wanted = above[-1].indent + _unit(before)
    return wanted[len(indent) :] if wanted.startswith(indent) else ""


def _unit(text: str) -> str:
    found = _INDENTED.search(text)
    return found[1] if found else _DEFAULT_INDENT


def _is_fresh(before: str, above: list[Statement], indent: str, after: str) -> bool:
    """The block at the cursor was just opened (a docstring may stand in it) and has no code below."""
    if above and not above[-1].opens_block and _STRING.match(before, above[-1].start):
        above = above[:-1]
    if not above or not above[-1].opens_block or len(indent) <= len(above[-1].indent):
        return False
    below = _CODE_LINE.search(after.partition("\n")[2])
    return below is None or len(below[1]) < len(indent)


def _owner(before: str, above: list[Statement], indent: str) -> str:
    """The classes around the cursor, up to the first function."""
    names = []
    for block in open_blocks(above):
        if block.keyword != "class" or len(block.indent) >= len(indent):
            break
        found = _CLASS_NAME.match(before, block.start)
        names.append(found[1] if found else "")
    return ".".join(names)
