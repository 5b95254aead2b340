"""The call that is open at the end of unfinished code, and the arguments it has got already.

Purely lexical. Knows nothing of signatures. Start reading at ``open_call``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from generation.source.lexer import OpenBracket, Scanner

_BY_NAME = re.compile(r"\s*(?:(\w+)\s*=(?!=)|\*)")


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call up to the argument that is being written.

    Attributes:
        start: where its arguments start, right behind the bracket.
        by_place: how many arguments come before anything else; with a star nobody knows how many they are.
        names: arguments that were given by name.
    """

    start: int
    by_place: int
    names: frozenset[str]


def open_call(text: str) -> OpenCall | None:
    """The innermost round bracket that is open at the end of ``text``; None where another bracket is, or none."""
    scanner = Scanner()
    starts: list[int] = []  # of what is in the open frames
    commas: list[list[int]] = []  # in each of them
    for offset, char in enumerate(text):
        scanner.feed(char)
        depth = len(scanner.frames)
        del starts[depth:], commas[depth:]
        while len(starts) < depth:
            starts.append(offset + 1)
            commas.append([])
        if char == "," and depth and scanner.in_code and not scanner.in_lambda_parameters:
            commas[-1].append(offset)
    frame = scanner.frames[-1] if scanner.frames else None
    if not isinstance(frame, OpenBracket) or frame.opener != "(":
        return None
    starts_of = [starts[-1], *(comma + 1 for comma in commas[-1])]
    arguments = [text[start:end] for start, end in zip(starts_of, commas[-1], strict=False)]
    found = [_BY_NAME.match(argument) for argument in arguments]
    by_place = next((place for place, match in enumerate(found) if match), len(found))
    return OpenCall(starts[-1], by_place, frozenset(match[1] for match in found if match and match[1]))
