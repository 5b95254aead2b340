"""What is certainly wrong with generated code in its file: syntax, undefined names, unknown members, wrong arguments.

So is a body that does nothing, or calls itself before anything else. A false alarm costs a good candidate its place, so
whatever is not certain is not reported. The text may be broken outside the generated part; that is not the fault of
the part. Runs nothing of the text. Start at ``check``.
"""

from __future__ import annotations

import ast
import re
import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pyflakes.checker import Checker
from pyflakes.messages import UndefinedLocal, UndefinedName

from generation.errors import TargetError
from generation.interfaces import CompletionTool
from generation.source.parsing import PARSING, reaches_into, unguarded
from generation.source.tolerant import TolerantTree, parse_tolerant
from generation.tools.arity import call_sites, misfit
from generation.tools.file_facts import read_facts
from generation.tools.futile import futile_bodies
from generation.tools.member_accesses import certain_accesses
from generation.tools.member_index import MemberIndex
from generation.tools.repository_modules import Module, RepositoryModules
from generation.types import NameKind, ToolQuery

Node = TypeVar("Node", bound=ast.AST)
_BLOCKS = ("body", "orelse", "handlers", "finalbody", "cases")

SYNTAX, UNDEFINED, MEMBER, ARGUMENTS = "syntax", "undefined-name", "no-member", "arguments"
IDLE, ENDLESS = "does-nothing", "calls-itself"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        kind: ``syntax``, ``undefined-name``, ``no-member``, ``arguments``, ``does-nothing`` or ``calls-itself``.
        line: 0-based, in the text that was checked.
        name: the name at fault; empty for a syntax error.
        message: for people.
    """

    kind: str
    line: int
    name: str
    message: str


@dataclass(frozen=True, slots=True)
class _Part:
    """The generated part of a text that parses. Offsets are code points."""

    text: str
    start: int
    end: int
    tolerant: TolerantTree

    def holds(self, line: int, column_bytes: int) -> bool:
        """A position of the tree lies in the part."""
        return self.start <= self.tolerant.offset(line, column_bytes) < self.end

    @property
    def lines(self) -> range:
        """1-based lines of the tree that the part stands in."""
        offsets = self.tolerant.offsets
        return range(bisect_right(offsets, self.start), bisect_left(offsets, self.end) + 1)

    def line_of(self, line: int) -> int:
        """0-based line in the text of a 1-based line of the tree."""
        return self.tolerant.original_row(line - 1)


def check(
    root: Path,
    path: Path,
    text: str,
    span: tuple[int, int],
    tool: CompletionTool | None = None,
    index: MemberIndex | None = None,
) -> tuple[Problem, ...]:
    """Problems of the code at ``span`` in ``text``, in the order of lines; empty when none is certain.

    Args:
        root: the repository.
        path: the file; need not exist.
        text: of the whole file, the generated code included.
        span: start and end of the generated code, code points.
        tool: tells unknown members; without it they are not looked for.
        index: tells signatures of other modules; without it only calls inside the file are judged.
    """
    start, end = span
    syntax = _syntax(text, start, end)
    if syntax:
        return (syntax,)
    try:
        part = _Part(text, start, end, parse_tolerant(text))
    except TargetError:
        return ()  # the file is beyond repair elsewhere
    found = [*_undefined(part, path), *_arguments(part, path, index), *_bodies(part)]
    if tool:
        found += _members(part, ToolQuery(root, path, "", "", NameKind.ATTRIBUTE), tool)
        found += _imports(part, ToolQuery(root, path, "", "", NameKind.IMPORT), tool)
    return tuple(sorted(found, key=lambda problem: problem.line))


def _syntax(text: str, start: int, end: int) -> Problem | None:
    """The syntax error that is there because of the part, not one that the rest of the file has anyway."""
    error = _compile_error(text)
    if error is None:
        return None
    part = text[start:end]
    indent = part[: len(part) - len(part.lstrip(" \t"))]
    first, last = text.count("\n", 0, start), text.count("\n", 0, end)
    blamed = (error.lineno or 1) - 1
    if _compile_error(f"{text[:start]}{indent}pass\n{text[end:]}") and _compile_error(text[:start] + text[end:]):
        error = _compile_error(f"if 1:\n{part}", ast.PyCF_ONLY_AST) if indent else None
        blamed = first + (error.lineno or 2) - 2 if error else 0
    return Problem(SYNTAX, min(max(blamed, first), last), "", str(error.msg)) if error else None


def _compile_error(text: str, flags: int = 0) -> SyntaxError | None:
    try:
        with PARSING, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "<generated>", "exec", flags, dont_inherit=True)
    except SyntaxError as error:
        return error
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return SyntaxError(str(error))
    return None


def _undefined(part: _Part, path: Path) -> Iterator[Problem]:
    if "globals()" in part.text:
        return  # the module may bind names in ways that cannot be seen
    outside = part.text[: part.start] + part.text[part.end :]
    tree = part.tolerant.tree if "global " in part.text else _without_other_bodies(part.tolerant.tree, part.lines)
    with PARSING:  # pyflakes parses annotations in strings
        checker = Checker(tree, filename=str(path))
    for message in checker.messages:
        if not isinstance(message, UndefinedName | UndefinedLocal) or not part.holds(message.lineno, message.col):
            continue
        name = str(message.message_args[0])
        hidden = part.tolerant.problems and re.search(rf"\b{re.escape(name)}\b", outside)
        if not hidden:
            line = part.line_of(message.lineno)
            yield Problem(UNDEFINED, line, name, message.message % message.message_args)


def _without_other_bodies(node: Node, lines: range) -> Node:
    """The tree with nothing in functions that do not reach into ``lines``: what they bind, nobody else sees."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node if reaches_into(node, lines) else _changed(node, body=[ast.copy_location(ast.Pass(), node)])
    blocks = {
        name: children for name in _BLOCKS if isinstance(children := getattr(node, name, None), list) and children
    }
    shorter = {name: [_without_other_bodies(child, lines) for child in children] for name, children in blocks.items()}
    return _changed(node, **shorter) if shorter else node


def _changed(node: Node, **fields: list[ast.AST]) -> Node:
    changed = copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _arguments(part: _Part, path: Path, index: MemberIndex | None) -> Iterator[Problem]:
    if part.tolerant.problems:
        return
    name = (index.module_of(path) if index else "") or path.stem
    module = Module(name, path, read_facts(part.text, uses=False))
    modules = index.modules if index else RepositoryModules([module])
    for site in call_sites(part.tolerant.tree, part.lines):
        if part.holds(site.call.lineno, site.call.col_offset):
            reason = misfit(site, module, modules)
            if reason:
                called = ast.unparse(site.call.func)
                yield Problem(ARGUMENTS, part.line_of(site.call.lineno), called, f"call of {called}: {reason}")


def _bodies(part: _Part) -> Iterator[Problem]:
    for function, calls_itself in futile_bodies(part.tolerant.tree, part.lines):
        line = part.line_of(function.body[-1].lineno)
        if calls_itself:
            yield Problem(ENDLESS, line, function.name, f"{function.name} calls itself before anything else")
        else:
            yield Problem(IDLE, line, function.name, f"{function.name} does nothing")


def _members(part: _Part, query: ToolQuery, tool: CompletionTool) -> Iterator[Problem]:
    asked: dict[tuple[str, str], bool] = {}
    for node in certain_accesses(part.tolerant.tree, part.lines):
        line = node.end_lineno or node.lineno
        end = part.tolerant.offset(line, node.end_col_offset or 0)
        start = end - len(node.attr)
        if not part.start <= start < end <= part.end or part.text[start:end] != node.attr:
            continue
        receiver = ast.unparse(node.value)
        if (receiver, node.attr) not in asked:
            asked[receiver, node.attr] = _is_unknown(node.attr, start, end, part.text, query, tool)
        if asked[receiver, node.attr]:
            yield Problem(MEMBER, part.line_of(line), node.attr, f"{receiver} has no member {node.attr!r}")


def _imports(part: _Part, query: ToolQuery, tool: CompletionTool) -> Iterator[Problem]:
    for node in _unguarded_imports(part.tolerant.tree, part.lines):
        for alias in node.names:
            start = part.tolerant.offset(alias.lineno, alias.col_offset)
            end = start + len(alias.name)
            private = alias.name == "*" or alias.name.startswith("_")  # which stubs may leave out
            if private or not part.start <= start < end <= part.end:
                continue
            if _is_unknown(alias.name, start, end, part.text, query, tool):
                module = "." * node.level + (node.module or "")
                message = f"{module} has no {alias.name!r} to import"
                yield Problem(MEMBER, part.line_of(alias.lineno), alias.name, message)


def _unguarded_imports(node: ast.AST, lines: range) -> Iterator[ast.ImportFrom]:
    """Imports of names in statements that reach into these 1-based lines, where nobody is ready for their absence."""
    for child in unguarded(node, "ImportError"):
        if not isinstance(child, ast.stmt) or not reaches_into(child, lines):
            continue
        if isinstance(child, ast.ImportFrom):
            yield child
        yield from _unguarded_imports(child, lines)


def _is_unknown(name: str, start: int, end: int, text: str, query: ToolQuery, tool: CompletionTool) -> bool:
    question = ToolQuery(query.root, query.path, text[:start], text[end:], query.kind)
    answer = tool.suggest(question)
    return (
        answer.trusted
        and not answer.may_have_more
        and all(suggestion.name != name for suggestion in answer.suggestions)
    )
