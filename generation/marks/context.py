"""What surrounds a hole in a file: the input of the prompt, and what syntax alone says about it.

Knows no repository and no model. Start reading at ``look_around``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from generation.marks.outline import ClassOutline, Function, enclosing_class, indent_of, parse
from generation.source import parsing
from generation.types import Definition

_DEF = re.compile(r"[ \t]*(?:async[ \t]+)?def[ \t]+\w")
_QUOTE = re.compile(r"[ \t]*[rRuU]?['\"]")
_HEADS_TRIED = 6
_LONGEST_OPENING = 80  # lines


@dataclass(frozen=True, slots=True)
class PromptContext:
    """A hole, and what the repository is known to define around it.

    Attributes:
        path: of the file, relative to the repository, with ``/``.
        before: text up to the hole; it ends with the signature and docstring of the function that is to be written.
        after: text behind the hole.
        definitions: candidates from the repository, in any order; the prompt keeps those that seem relevant.
        class_members: members of the enclosing class, inherited ones included, as the repository's index has them.
        module: dotted name of the file's module, as ``Definition.module`` spells it; empty derives it from ``path``.
    """

    path: str
    before: str
    after: str = ""
    definitions: Sequence[Definition] = ()
    class_members: Sequence[Definition] = ()
    module: str = ""

    @property
    def module_name(self) -> str:
        """The dotted module of the file; from its path where ``module`` does not say."""
        return self.module or _module_of(self.path)


def _module_of(path: str) -> str:
    parts = path.removesuffix(".pyi").removesuffix(".py").removesuffix("/__init__").split("/")
    return ".".join(parts[1:] if parts[0] == "src" else parts)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the syntax of a file says about a hole in it. Lines are 0-based, line ends those of Unix.

    What has been written of the target's body is in ``head`` alone, so that all else stays as it is while more is.

    Attributes:
        lines: the text before the hole.
        head_line: where the target starts, decorators included; ``lines[head_line:]`` is never cut from the top.
        opening: the target's decorators, signature and docstring.
        target: the function to be written, without its body; None when the hole is outside any function.
        tree: of the file, with ``pass`` for what has been written of the body.
        owner: the class the target is a method of.
    """

    lines: tuple[str, ...]
    head_line: int
    opening: str
    target: Function | None
    tree: ast.Module
    owner: ClassOutline | None

    @property
    def head(self) -> str:
        """The target up to the hole: decorators, signature, docstring and the newline after, then its body so far."""
        return "\n".join(self.lines[self.head_line :])

    @property
    def docstring(self) -> str:
        """Of the target; empty when there is none."""
        return (self.target and ast.get_docstring(self.target)) or ""


@dataclass(frozen=True, slots=True)
class _Opening:
    """Where a function opens: the line of its ``def``, the line behind signature and docstring, its node."""

    line: int
    end: int
    node: Function


def look_around(context: PromptContext) -> Surroundings:
    """Read the file around the hole; broken text gives less, never an error."""
    before, after = unix_newlines(context.before), unix_newlines(context.after)
    lines = tuple(before.split("\n"))
    rest = after.partition("\n")[2] if lines[-1].strip() else after
    opening = _find_opening(lines)
    if opening is None:
        last = max(len(lines) - 2, 0)
        return Surroundings(lines, last, "\n".join(lines[last:]), None, parse(f"{before}\n{rest}"), None)
    head_line = _first_decorator(lines, opening.line)
    filling = "" if _is_documented(opening.node) else f"{indent_of(lines[opening.line])} pass"
    tree = parse("\n".join([*lines[: opening.end], filling, rest]))
    text = "\n".join(lines[head_line : opening.end])
    return Surroundings(lines, head_line, text, opening.node, tree, enclosing_class(tree, head_line))


def unix_newlines(text: str) -> str:
    """``text`` with Unix line ends, as models see source text in training."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _find_opening(lines: Sequence[str]) -> _Opening | None:
    """The function that the text leaves open: rather one without a body yet, as a ``def`` in its docstring is none."""
    heads = [number for number, line in enumerate(lines) if _DEF.match(line)][: -_HEADS_TRIED - 1 : -1]
    for head in heads:
        if node := _open_function(lines[head:]):
            return _Opening(head, len(lines), node)
    return next((opening for head in heads if (opening := _opening_at(lines, head))), None)


def _opening_at(lines: Sequence[str], head: int) -> _Opening | None:
    """Signature and docstring of the function at ``head``, whatever follows."""
    ends = range(head + 1, min(head + _LONGEST_OPENING, len(lines)) + 1)
    openings = (_Opening(head, end, node) for end in ends if (node := _open_function(lines[head:end])))
    signature = next(openings, None)
    if signature is None or not _QUOTE.match("\n".join(lines[signature.end : signature.end + 1])):
        return signature
    return next((opening for opening in openings if _is_documented(opening.node)), signature)


def _open_function(lines: Sequence[str]) -> Function | None:
    """The function of which ``lines`` are signature and docstring and nothing else."""
    text = "\n".join(lines)
    if (node := _only_function(text)) and _is_documented(node):
        return node if len(node.body) == 1 else None
    node = _only_function(f"{text}\n{indent_of(lines[0])} pass")
    return node if node and len(node.body) == 1 and isinstance(node.body[0], ast.Pass) else None


def _is_documented(node: Function) -> bool:
    return ast.get_docstring(node, clean=False) is not None


def _only_function(text: str) -> Function | None:
    """The function that ``text`` consists of, at any indent."""
    try:
        block = parsing.parse(f"if 1:\n{text}\n" if text[0].isspace() else text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    block = block[0].body if isinstance(block[0], ast.If) else block
    return block[0] if len(block) == 1 and isinstance(block[0], Function) else None


def _first_decorator(lines: Sequence[str], head: int) -> int:
    """The line of the first decorator above the ``def`` at ``head``."""
    indent = indent_of(lines[head])
    first = at = head
    while at > 0 and lines[at - 1].strip() and not _ends_decorators(lines[at - 1], indent):
        at -= 1
        first = at if lines[at].startswith(f"{indent}@") else first
    return first


def _ends_decorators(line: str, indent: str) -> bool:
    """Whether ``line`` cannot be part of the decorators of a ``def`` with this indent."""
    own = indent_of(line)
    return len(own) < len(indent) or (own == indent and not line.strip().startswith(("@", ")", "]", "}", "#")))
