"""What surrounds a hole in a file: the input of the prompt, and what syntax alone says about it.

Knows no repository and no model. Start reading at ``look_around``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from generation.marks.outline import ClassOutline, Function, enclosing_class, first_line, indent_of, parse
from generation.types import Definition

_DEF = re.compile(r"[ \t]*(?:async[ \t]+)?def[ \t]+\w")
_HEADS_TRIED = 12


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
    """What the syntax of a file says about a hole in it. Line ends are ``\\n``; lines are 0-based.

    Attributes:
        lines: the text before the hole.
        head_line: where the target starts, decorators included; ``lines[head_line:]`` is never cut from the top.
        target: the function to be written; None when the hole is outside any function.
        tree: of the whole file, the hole filled with ``pass``.
        owner: the class the target is a method of.
    """

    lines: tuple[str, ...]
    head_line: int
    target: Function | None
    tree: ast.Module
    owner: ClassOutline | None

    @property
    def head(self) -> str:
        """The target's decorators, signature, docstring and the newline after."""
        return "\n".join(self.lines[self.head_line :])

    @property
    def docstring(self) -> str:
        """Of the target; empty when there is none."""
        return (self.target and ast.get_docstring(self.target)) or ""


def look_around(context: PromptContext) -> Surroundings:
    """Read the file around the hole; broken text gives less, never an error."""
    before, after = unix_newlines(context.before), unix_newlines(context.after)
    lines = before.split("\n")
    head_line, target, filling = _find_target(lines)
    rest = after.partition("\n")[2] if lines[-1].strip() else after
    tree = parse(f"{before}{filling}\n{rest}")
    return Surroundings(tuple(lines), head_line, target, tree, enclosing_class(tree, head_line))


def unix_newlines(text: str) -> str:
    """``text`` with ``\\n`` line ends, as models see source text in training."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _find_target(lines: Sequence[str]) -> tuple[int, Function | None, str]:
    """Line and node of the function that the text leaves open, and what fills it; a ``def`` in a string is none."""
    heads = [number for number, line in enumerate(lines) if _DEF.match(line)]
    for head in reversed(heads[-_HEADS_TRIED:]):
        for filling in ("", f"{indent_of(lines[head])} pass"):
            if target := _only_function("\n".join(lines[head:]) + filling):
                return _first_decorator(lines, head), target, filling
    if heads:
        return _first_decorator(lines, heads[-1]), None, ""
    return max(len(lines) - 2, 0), None, ""


def _only_function(text: str) -> Function | None:
    """The function that ``text`` consists of, at any indent."""
    try:
        block = ast.parse(f"if 1:\n{text}\n" if text[0].isspace() else text).body
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

