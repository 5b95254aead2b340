"""What of a generated text is worth inserting: small filters, each for one reason.

A body goes through the filters of ``body``. A completion at a cursor has text on both sides of it: it must not close a
bracket twice, say again what stands around it, or be nothing but space. All filters take the text from the start of
the statement (the *stem* included), so each sees whole lines. Start reading at ``finish``.
"""

from __future__ import annotations

from generation.source.body import (
    clean,
    close_statement,
    close_tries,
    complete_statements,
    drop_what_stands_below,
    is_block,
)
from generation.source.lexer import Scanner
from generation.source.repetition import repetition_start, trim_repetition
from generation.types import Extent, GenerationRequest

_SHORTEST_OVERLAP = 3  # fewer characters say nothing


def finish(text: str, request: GenerationRequest, *, complete: bool) -> str:
    """The part of ``text`` to insert.

    Args:
        text: what was generated, from the start of the hole's first statement.
        request: the hole.
        complete: the generation came to its own end; else what a limit cut off is dropped.
    """
    if request.extent is Extent.BODY:
        return _finish_body(text, request, complete=complete)
    stem, prefix = request.stem, request.prefix
    rest, _, below = request.after.partition("\n")
    if not complete:
        text = drop_unfinished(text, stem)
    text = stay_inside(text, stem, rest)
    text = drop_rest_of_line(text, stem, rest)
    text = trim_repetition(text)
    text = drop_what_stands_below(text, below)
    text = drop_repeat_of_above(text, request.before)
    if not request.may_be_empty and not _says_something(text):
        return ""
    inserted = text[len(stem) :].rstrip() if text.startswith(stem) else ""
    return "" if inserted == prefix or not inserted.startswith(prefix) else inserted


def _finish_body(text: str, request: GenerationRequest, *, complete: bool) -> str:
    kept = text if complete and is_block(text, request.indent) else complete_statements(text, request.indent)
    if not kept.strip():  # something is better than nothing
        start = text[: repetition_start(text)]
        closed = close_tries(start, request.indent) or close_statement(start, request.indent)
        kept = closed or (text if complete else "")
    return clean(kept, request.indent, request.after)


def _says_something(text: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines())


def drop_unfinished(text: str, stem: str) -> str:
    """Whole statements where there are some behind the stem, else whole lines, else whole words."""
    scanner = Scanner(stem)
    statement = line = len(stem)
    for position, char in enumerate(text[len(stem) :], len(stem)):
        scanner.feed(char)
        if char == "\n":
            line = position
            statement = position if scanner.at_statement_start else statement
    for end in (statement, line):
        if text[len(stem) : end].strip():
            return text[:end]
    return text[: len(text) - len(scanner.word)]


def stay_inside(text: str, stem: str, rest: str) -> str:
    """Cut where the text closes what was open at the cursor, if the rest of the line closes it anyway."""
    scanner = Scanner(stem)
    closed = scanner.depth - _lowest_depth(scanner.copy(), rest)
    if not closed:
        return text
    for position, char in enumerate(text[len(stem) :], len(stem)):
        scanner.feed(char)
        if scanner.depth < closed:
            return text[:position]
    return text


def _lowest_depth(scanner: Scanner, text: str) -> int:
    return min([scanner.depth, *(scanner.feed(char).depth for char in text)])


def drop_rest_of_line(text: str, stem: str, rest: str) -> str:
    """Cut the end of the text where the rest of the line repeats it."""
    rest = rest.strip()
    end = len(text.rstrip())
    if rest and text[len(stem) : end].endswith(rest):
        return text[: end - len(rest)]
    for size in range(min(len(rest), end - len(stem)), _SHORTEST_OVERLAP - 1, -1):
        if text[:end].endswith(rest[:size]):
            return text[: end - size]
    return text


def drop_repeat_of_above(text: str, before: str) -> str:
    """A single statement that says again what the line above says is nothing."""
    above = before.rstrip().rpartition("\n")[2].strip()
    return "" if len(above) > _SHORTEST_OVERLAP and text.strip() == above else text
