"""Which attributes a text uses on which receivers, by lexical scan, so that broken text counts too.

A receiver is known by its last name: ``self.app.config`` is a use of ``config`` on ``app``, ``foo(x).bar`` one of
``bar`` on ``foo()``, ``rows[0].id`` one of ``id`` on ``rows[]``. ``self`` and ``cls`` carry the class they stand in
(``self@Session``), so that classes do not mix.

Works piece by piece: a piece is what stands between two ``def`` or ``class`` headers. Of a buffer that is asked about
again and again only the piece that is written in is new (``scan_around``). Knows nothing of files, types or Jedi.
Start at ``scan``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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
class Open:
    """What is open where a text starts: classes as (indentation, qualified name, last names of bases), and a quote."""

    classes: tuple[tuple[int, str, tuple[str, ...]], ...] = ()
    quote: str = ""

    @property
    def owner(self) -> str:
        """The qualified name of the class whose ``self`` is meant."""
        return self.classes[-1][1] if self.classes else ""

    @property
    def bases(self) -> tuple[str, ...]:
        """Its bases."""
        return self.classes[-1][2] if self.classes else ()


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a text uses, the methods it gives to each class, and what is open where it ends."""

    uses: Uses
    methods: Mapping[str, set[str]]
    end: Open


def scan(text: str) -> Uses:
    """Every use in ``text``."""
    return _scan(text, Open()).uses


def scan_around(text: str, offset: int) -> tuple[Scanned, Scanned, Scanned]:
    """The same for what is above the piece at ``offset``, for that piece, and for what is below it."""
    start = _header_before(text, offset)
    below = _HEADER.search(text, offset + 1)
    end = below.start() if below else len(text)
    above = _remembered(text[:start], Open())
    here = _scan(text[start:end], above.end)
    return above, here, _remembered(text[end:], here.end)


def _header_before(text: str, offset: int) -> int:
    line_start = offset + 1
    while line_start > 0:
        line_start = text.rfind("\n", 0, line_start - 1) + 1
        if _HEADER.match(text, line_start):
            break
    return line_start


def _scan(text: str, start: Open) -> Scanned:
    uses: Uses = {}
    methods: dict[str, set[str]] = {}
    begin, place = 0, start
    for header in _HEADER.finditer(text):
        quote = _scan_piece(text[begin : header.start()], place, uses)
        begin, indent = header.start(), len(header[1].expandtabs())
        place = Open(tuple(one for one in place.classes if one[0] < indent), quote)
        if header[2] == "class":
            name = f"{place.owner}.{header[3]}" if place.owner else header[3]
            place = Open((*place.classes, (indent, name, _base_names(header[4] or ""))), quote)
        else:
            methods.setdefault(place.owner, set()).add(header[3])
    quote = _scan_piece(text[begin:], place, uses)
    return Scanned(uses, methods, Open(place.classes, quote))


_remembered = lru_cache(maxsize=16)(_scan)


def receiver_key(receiver: str) -> str:
    """The key under which uses on the expression ``receiver`` are counted; empty when it has no name."""
    blank, _ = _without_text(receiver.rstrip(), "")
    match = re.search(rf"({_NAME}|[)\]}}]|'')$", blank)
    return _key_at(blank, match.start(), match[1], "") if match else ""


def _scan_piece(text: str, start: Open, uses: Uses) -> str:
    """Add the uses in a piece to ``uses``; the quote that is open behind it."""
    blank, quote = _without_text(text, start.quote)
    for match in _CHAIN.finditer(blank):
        _count_chain(match, start.owner, uses)
    return quote


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
