"""How a prompt is laid out: from chosen parts to text.

    # pkg/mod.py                        the path
    imports of the file                 only those the code below no longer shows
    stubs of definitions                by module, without bodies
    the code above the target           cut from the top at a statement; blocks that were cut through
                                        keep their header, the enclosing class one line per member out of sight as well

What changes least comes first, so that two prompts of one file share a long prefix. All of it is Python as a model has
seen it in training. Decides nothing about what is worth its place (``prompt`` does). Start reading at ``render``.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from generation.marks.context import PromptContext, Surroundings
from generation.marks.outline import first_line, indent_of
from generation.types import Definition

Definer = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
Block = Definer | ast.If | ast.For | ast.AsyncFor | ast.While | ast.With | ast.AsyncWith | ast.Try
ImportStatement = ast.Import | ast.ImportFrom


@dataclass(frozen=True, slots=True)
class Stub:
    """One line that stands for a member; ``line`` is where this file declares it, if it does."""

    name: str
    text: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Cut:
    """A line the code above the target may start at, and the blocks it cuts through, outermost first."""

    line: int
    scopes: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class Parts:
    """What a prompt shows above its target; the code starts at ``cut``."""

    cut: Cut
    imports: tuple[ImportStatement, ...] = ()
    definitions: tuple[Definition, ...] = ()
    members: tuple[Stub, ...] = ()


def render(context: PromptContext, around: Surroundings, parts: Parts) -> str:
    """Everything above the target; what the code shows anyway is not said twice."""
    hidden = sorted((node for node in parts.imports if node.lineno - 1 < parts.cut.line), key=lambda node: node.lineno)
    blocks = [
        [f"# {context.path}"] if context.path else [],
        [ast.unparse(node) for node in hidden],
        list(definition_lines(parts.definitions)),
    ]
    above = "".join("\n".join([*block, "", ""]) for block in blocks if block)
    return above + "".join(f"{line}\n" for line in code_lines(around, parts))


def path_block(path: str) -> str:
    """The first lines of a prompt."""
    return f"# {path}\n\n"


def after_block(after: str) -> str:
    """What stands behind the hole, shown above everything that stands before it."""
    return f"# After the cursor:\n{after.rstrip()}\n\n# Before the cursor:\n"


def definition_lines(definitions: Sequence[Definition]) -> Iterator[str]:
    """Definitions as stubs, each module under its path."""
    for module, group in groupby(sorted(definitions, key=lambda found: found.module), key=lambda found: found.module):
        yield module_line(module)
        yield from _module_stubs(list(group))


def module_line(module: str) -> str:
    """The comment that stubs of a module stand under."""
    return f"# {module.replace('.', '/')}.py"


def _module_stubs(definitions: Sequence[Definition]) -> Iterator[str]:
    """Stubs in the order of the module, methods below their class."""
    owners = {owner_of(found) for found in definitions}
    opened = ""
    for found in sorted(definitions, key=lambda found: (owner_of(found) or found.qualname, found.line)):
        owner = owner_of(found)
        if found.kind == "class" and found.qualname in owners:
            yield f"{found.signature.rstrip(':')}:"
            opened = found.qualname
            continue
        if owner and owner != opened:
            yield f"class {owner}:"
            opened = owner
        yield ("    " if owner else "") + stub_text(found.signature)


def owner_of(definition: Definition) -> str:
    """The class a method belongs to; empty for what stands at the top level."""
    return definition.qualname.rpartition(".")[0]


def stub_text(declaration: str) -> str:
    """A declaration as a complete statement on one line."""
    opens = declaration.startswith(("def ", "async def ", "class "))
    return f"{declaration.rstrip(':')}: ..." if opens else declaration


def code_lines(around: Surroundings, parts: Parts) -> list[str]:
    """The code from the cut to the target, under the headers of what it was cut out of."""
    start, owner = parts.cut.line, around.owner
    hidden = [stub for stub in parts.members if not is_shown(stub, start, around)]
    stubs = [stub.text for stub in sorted(hidden, key=lambda stub: math.inf if stub.line is None else stub.line)]
    code = list(around.lines[start : around.head_line])
    if owner and stubs and start <= owner.line:
        place = min(owner.body_line, around.head_line) - start
        indent = indent_of(around.lines[around.head_line])
        code[place:place] = [*(indent + stub for stub in stubs), ""]
    return [*header_lines(around, parts.cut, stubs), *code]


def is_shown(stub: Stub, start: int, around: Surroundings) -> bool:
    """Whether the code from ``start`` to the target has what ``stub`` says."""
    return stub.line is not None and start <= stub.line < around.head_line


def header_lines(around: Surroundings, cut: Cut, stubs: Sequence[str]) -> list[str]:
    """Headers of the blocks that are cut, with stubs (of the enclosing class) or ``...`` for what a definition lost."""
    lines: list[str] = []
    for scope in cut.scopes:
        is_owner = around.owner is not None and around.owner.line == first_line(scope)
        body_line = first_line(scope.body[0])
        lines += around.lines[scope.lineno - 1 : max(body_line, scope.lineno)]
        missing = stubs if is_owner and stubs else ["..."] if isinstance(scope, Definer) else []
        lines += [indent_of(around.lines[body_line]) + text for text in missing]
        lines += [""] if isinstance(scope, ast.ClassDef) else []
    return lines


def cuts(around: Surroundings, most_lines: int) -> list[Cut]:
    """Where the code may start, latest first: at any statement, comments above it included.

    Blocks that end more than ``most_lines`` above the target are not looked into.
    """
    found = {0: Cut(0), around.head_line: Cut(around.head_line, _scopes_of(around))}
    waiting: list[tuple[Sequence[ast.stmt], tuple[Block, ...]]] = [(around.tree.body, ())]
    while waiting:
        body, scopes = waiting.pop()
        for node in body:
            if (line := first_line(node)) >= around.head_line:
                break
            line = _first_comment(around.lines, line)
            found.setdefault(line, Cut(line, scopes))
            if isinstance(node, Block) and (node.end_lineno or 0) > around.head_line - most_lines:
                waiting.append((node.body, (*scopes, node)))
    return sorted(found.values(), key=lambda cut: -cut.line)


def _scopes_of(around: Surroundings) -> tuple[Block, ...]:
    """The blocks the target stands in, outermost first."""
    scopes: list[Block] = []
    body: Sequence[ast.stmt] = around.tree.body
    line = around.head_line
    while inner := next((node for node in body if first_line(node) < line < (node.end_lineno or 0)), None):
        scopes += [inner] if isinstance(inner, Block) else []
        body = getattr(inner, "body", ())
    return tuple(scopes)


def _first_comment(lines: Sequence[str], line: int) -> int:
    while line > 0 and lines[line - 1].lstrip().startswith("#"):
        line -= 1
    return line
