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
    says_nothing,
)
from generation.source.lexer import OpenString, Scanner
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
    if says_nothing(kept, request.indent):  # something is better than that
        start = text[: repetition_start(text)]
        closed = close_tries(start, request.indent) or close_statement(start, request.indent)
        kept = closed or (text if complete else "")
    return clean(kept, request.indent, request.after)


def _says_something(text: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines())


def drop_unfinished(text: str, stem: str) -> str:
    """Whole statements where there are some behind the stem, else whole lines, else whole arguments or operands.

    The header of a block is no statement without it.
    """
    scanner = Scanner(stem)
    statement = line = len(stem)
    needs_block = False
    for position, char in enumerate(text[len(stem) :], len(stem)):
        scanner.feed(char)
        if char == ":" and scanner.at_statement_start:
            needs_block = True
        elif not char.isspace() and not scanner.in_comment:
            needs_block = False
        if char == "\n":
            line = position
            statement = position if scanner.at_statement_start and not needs_block else statement
    for end in (statement, line):
        if text[len(stem) : end].strip() and not (end == line and needs_block):
            return text[:end]
    return _whole_operands(text, stem)


def _whole_operands(text: str, stem: str) -> str:
    """The start of a line up to a whole name or value, or with its brackets closed behind a whole argument."""
    scanner = Scanner(stem)
    depth, kept = scanner.depth, stem
    for position, char in enumerate(text[len(stem) :], len(stem)):
        opened = scanner.depth - depth
        if scanner.in_code and not (char == "_" or char.isalnum()):
            closers = scanner.closers[: max(opened, 0)]
            if char == "," if opened > 0 else scanner.word or text[position - 1] in ")]}\"'":
                kept = text[:position] + closers if _is_whole(text[:position] + closers, depth) else kept
        scanner.feed(char)
    return kept


def _is_whole(text: str, depth: int) -> bool:
    """Whether a statement that has so many brackets open at its end is one, once these are closed."""
    scanner = Scanner(text)
    if scanner.string is not None or scanner.depth != depth:
        return False
    line = text.lstrip()
    return is_block(f"{line}{scanner.closers}\n", "") or is_block(f"{line}{scanner.closers}:\n pass\n", "")


def stay_inside(text: str, stem: str, rest: str) -> str:
    """Cut where the text closes what was open at the cursor, if the rest of the line closes it anyway."""
    if not any(closer in rest for closer in ")]}\"'"):
        return text
    scanner = Scanner(stem)
    closed = scanner.depth - _lowest_depth(scanner.copy(), rest)
    if not closed:
        return text
    for position, char in enumerate(text[len(stem) :], len(stem)):
        last_open = scanner.frames[closed - 1 : closed]
        scanner.feed(char)
        if scanner.depth < closed:
            quotes = len(last_open[0].quote) if last_open and isinstance(last_open[0], OpenString) else 1
            return text[: position + 1 - quotes]
    return text


def _lowest_depth(scanner: Scanner, text: str) -> int:
    return min([scanner.depth, *(scanner.feed(char).depth for char in text)])


def drop_rest_of_line(text: str, stem: str, rest: str) -> str:
    """Cut the end of the text where the rest of the line repeats it, if no bracket lacks its closer then."""
    rest = rest.strip()
    end = len(text.rstrip())
    for size in range(min(len(rest), end - len(stem)), 0, -1):
        says_much = size == len(rest) or size >= _SHORTEST_OVERLAP
        if says_much and text[:end].endswith(rest[:size]):
            kept = text[: end - size]
            if Scanner(kept + rest).depth <= Scanner(text[:end] + rest).depth:
                return kept
    return text


def drop_repeat_of_above(text: str, before: str) -> str:
    """A single statement that says again what the line above says is nothing."""
    above = before.rstrip().rpartition("\n")[2].strip()
    return "" if len(above) > _SHORTEST_OVERLAP and text.strip() == above else text
