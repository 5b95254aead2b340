"""Which attributes a text uses on which receivers, by lexical scan, so that broken text counts too.

A receiver is known by its last name: ``self.app.config`` is a use of ``config`` on ``app``, ``foo(x).bar`` one of
``bar`` on ``foo()``, ``rows[0].id`` one of ``id`` on ``rows[]``. ``self`` and ``cls`` carry the class they stand in
(``self@Session``), so that classes do not mix.

Works piece by piece (a piece is what stands between two ``def`` or ``class`` headers) and remembers pieces, since the
same buffer is scanned again after every few characters. Knows nothing of files, types or Jedi. Start at ``scan``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

Uses = dict[str, dict[str, int]]  # receiver key -> attribute -> how often

_NAME = r"[^\W\d]\w*+"
_HEADER = re.compile(
    rf"^([ \t]*)(?:async[ \t]+)?(def|class)[ \t]+({_NAME})[ \t]*(?=[(:\[])(?:\(([^()]*)\)[ \t]*:)?", re.MULTILINE
)
_TEXT = re.compile(
    r'(?P<quote>"""|\'\'\'|"|\')'
    r'(?P<content>(?<=""")(?:[^"\\]++|\\.|"(?!""))*+|(?<=\'\'\')(?:[^\'\\]++|\\.|\'(?!\'\'))*+'
    r'|(?<=")(?:[^"\\\n]++|\\.)*+|(?<=\')(?:[^\'\\\n]++|\\.)*+)(?P<end>(?P=quote)?)|\#[^\n]*',
    re.DOTALL,
)
_FORMAT_PREFIX = re.compile(r"(?<!\w)(?:[rR]?[fF]|[fF][rR])$")
_CHAIN = re.compile(rf"(\b{_NAME}|[)\]}}]|'')((?:\s*+\.\s*+{_NAME})++)")
_REPLACEMENT_FIELD = re.compile(r"\{([^{}]*)\}")
_LONGEST_RECEIVER = 400


@dataclass(frozen=True, slots=True)
class Piece:
    """Text between two headers. ``owner`` is the qualified name of the class whose ``self`` is meant in it."""

    text: str
    owner: str
    bases: tuple[str, ...]  # of ``owner``, last names
    start: int


def scan(text: str) -> Uses:
    """Every use in ``text``."""
    total: Uses = {}
    open_quote = ""
    for piece in pieces(text):
        open_quote = _scan_piece(piece, open_quote, total)
    return total


def scan_pieces(text: str) -> list[Mapping[str, Mapping[str, int]]]:
    """The uses in each piece of ``text``; pieces that were seen before cost next to nothing."""
    found = []
    open_quote = ""
    for piece in pieces(text):
        uses, open_quote = _remembered_scan(piece.text, piece.owner, open_quote)
        found.append(uses)
    return found


@lru_cache(maxsize=8)
def pieces(text: str) -> tuple[Piece, ...]:
    """``text`` cut at its headers, in order, without gaps."""
    return tuple(_cut(text))


def _cut(text: str) -> Iterator[Piece]:
    start, owner = 0, ""
    bases: tuple[str, ...] = ()
    classes: list[tuple[int, str, tuple[str, ...]]] = []
    for header in _HEADER.finditer(text):
        yield Piece(text[start : header.start()], owner, bases, start)
        indent, start = len(header[1].expandtabs()), header.start()
        while classes and classes[-1][0] >= indent:
            classes.pop()
        if header[2] == "class":
            qualname = f"{classes[-1][1]}.{header[3]}" if classes else header[3]
            classes.append((indent, qualname, _base_names(header[4] or "")))
        _, owner, bases = classes[-1] if classes else (0, "", ())
    yield Piece(text[start:], owner, bases, start)


def receiver_key(receiver: str, owner: str = "") -> str:
    """The key under which uses on the expression ``receiver`` are counted; empty when it has no name."""
    blank, _ = _without_text(receiver.rstrip(), "")
    match = re.search(rf"({_NAME}|[)\]}}]|'')$", blank)
    return _key_at(blank, match.start(), match[1], owner) if match else ""


@lru_cache(maxsize=4096)
def _remembered_scan(text: str, owner: str, open_quote: str) -> tuple[Mapping[str, Mapping[str, int]], str]:
    uses: Uses = {}
    open_quote = _scan_piece(Piece(text, owner, (), 0), open_quote, uses)
    return uses, open_quote


def _scan_piece(piece: Piece, open_quote: str, uses: Uses) -> str:
    """Add the uses in ``piece`` to ``uses``; the quote that is open before it goes in, the one after it comes out."""
    blank, open_quote = _without_text(piece.text, open_quote)
    for match in _CHAIN.finditer(blank):
        _count_chain(match, piece.owner, uses)
    return open_quote


def _count_chain(match: re.Match[str], owner: str, uses: Uses) -> None:
    head, rest = match[1], match[2]
    key = _key_at(match.string, match.start(), head, owner)
    for name in "".join(rest.split()).split(".")[1:]:
        if key:
            attributes = uses.setdefault(key, {})
            attributes[name] = attributes.get(name, 0) + 1
        key = name


def _key_at(text: str, position: int, head: str, owner: str) -> str:
    if head in ("self", "cls") and owner:
        return f"self@{owner}"
    if head in (")", "]"):
        start = max(0, position - 2 * _LONGEST_RECEIVER)
        return _bracket_key(text[start : position + 1], position - start)
    return "" if head in ("}", "from") else head


def _bracket_key(text: str, close: int) -> str:
    """``foo()`` for the bracket that closes ``a.foo(...)`` at ``close``; empty when nothing stands before it."""
    depth = 0
    for position in range(close, max(-1, close - _LONGEST_RECEIVER), -1):
        character = text[position]
        if character in ")]}":
            depth += 1
        elif character in "([{":
            depth -= 1
            if depth == 0:
                return _name_before(text, position) + ("()" if character == "(" else "[]")
    return ""


def _name_before(text: str, position: int) -> str:
    before = text[max(0, position - 100) : position]
    match = re.search(rf"({_NAME})$", before)
    if match:
        return match[1]
    return _bracket_key(text, position - 1) if before.endswith((")", "]")) else ""


def _without_text(code: str, open_quote: str) -> tuple[str, str]:
    """``code`` with strings and comments blanked (what stands in f-string braces kept), and the quote left open."""
    if open_quote:
        _, quote, code = code.partition(open_quote)
        if not quote:
            return "", open_quote
        open_quote = ""

    def blank(match: re.Match[str]) -> str:
        nonlocal open_quote
        quote = match["quote"]
        if quote and not match["end"] and len(quote) == 3:
            open_quote = quote
        if quote and _FORMAT_PREFIX.search(code, max(0, match.start() - 3), match.start()):
            return "''" + "".join(f"\n{field}\n" for field in _REPLACEMENT_FIELD.findall(match["content"]))
        return "''" if quote else ""

    return _TEXT.sub(blank, code), open_quote


def _base_names(text: str) -> tuple[str, ...]:
    parts = (part.partition("[")[0].strip() for part in text.split(","))
    return tuple(part.rpartition(".")[2] for part in parts if part and "=" not in part)
