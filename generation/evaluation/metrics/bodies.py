"""A body by itself: parsed, in one spelling, as tokens, and the dotted expressions in it.

Knows nothing of files and repositories. Start reading at ``parse_body`` and ``canonical``.
"""

from __future__ import annotations

import ast
import io
import re
import textwrap
import tokenize

from generation.evaluation.leaks import dotted
from generation.evaluation.sources import parse

_LAYOUT = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
)
_ROUGH_TOKEN = re.compile(r"\w+|[^\w\s]")


def parse_body(body: str) -> list[ast.stmt] | None:
    """The statements of an indented block, without a docstring; None when it does not parse."""
    lines = [line for line in body.splitlines() if line.strip()]
    indented = body if lines and lines[0][:1].isspace() else textwrap.indent(body, "    ")
    tree = parse(f"async def _():\n{indented}\n")
    if tree is None or len(tree.body) != 1 or not isinstance(tree.body[0], ast.AsyncFunctionDef):
        return None
    statements = tree.body[0].body
    return statements[1:] if ast.get_docstring(tree.body[0], clean=False) is not None else statements


def canonical(body: str) -> str:
    """The body as ``ast.unparse`` writes it; where it does not parse, its lines without comments and indentation."""
    statements = parse_body(body)
    if statements is not None:
        return "\n".join(map(ast.unparse, statements))
    lines = [line.rstrip() for line in textwrap.dedent(body).splitlines()]
    return "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))


def tokens(text: str) -> list[str]:
    """Python's tokens without layout and comments; words and signs where Python cannot tell."""
    try:
        found = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return _ROUGH_TOKEN.findall(text)
    return [token.string for token in found if token.type not in _LAYOUT]


def chains(body: str) -> frozenset[str]:
    """Every dotted expression of a body, the beginnings of longer ones included; none when it does not parse."""
    nodes = (node for statement in parse_body(body) or () for node in ast.walk(statement))
    return frozenset(chain for node in nodes if (chain := dotted(node)) is not None)
