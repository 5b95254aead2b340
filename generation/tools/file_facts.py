"""What one Python file defines, imports and uses, as plain rows that survive a trip through JSON.

Definitions and imports come from the syntax tree, so a file that does not parse has none. Knows nothing of other files:
module names and relative imports are resolved by ``member_index``. Start at ``read_facts``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from generation.source import parsing
from generation.tools.attribute_uses import Uses, scan

_LONGEST_SIGNATURE = 120
_LONGEST_DEFAULT = 20
_PROPERTY = ("property", "cached_property")
_NO_SELF = "-"  # stands for the first parameter of a function without one


class DefinitionFact(NamedTuple):
    """A definition as it stands in its file; see ``generation.types.Definition`` for the fields of the same name."""

    name: str
    qualname: str
    kind: str
    signature: str
    line: int
    decorators: str  # last names, joined by spaces


class ImportFact(NamedTuple):
    """``from`` ``level`` dots ``module`` ``import name as alias``; without a name ``import module as alias``.

    ``top`` tells that it runs when the module is imported: not in a function, not for type checkers only.
    """

    module: str
    name: str
    alias: str
    level: int
    top: bool

    @property
    def bound_name(self) -> str:
        """The identifier the import binds."""
        return self.alias or self.name or self.module.partition(".")[0]


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Everything the index keeps of one file.

    Attributes:
        parsed: the file could be read; else everything is empty.
        bases: qualified class name to the source of its bases; a keyword such as a metaclass keeps its ``=``.
        exported: the strings of ``__all__``, or None where there is none, or not all of it is written there.
    """

    parsed: bool
    uses: Uses = field(default_factory=dict)
    definitions: Sequence[DefinitionFact] = ()
    bases: dict[str, list[str]] = field(default_factory=dict)
    imports: Sequence[ImportFact] = ()
    exported: list[str] | None = None


def read_facts(text: str, uses: bool = True) -> FileFacts:
    """The facts of a file with content ``text``, with or without the attribute uses."""
    try:
        tree = parsing.parse(text)
        reader = _Reader(text)
        reader.block(tree.body, "", "")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return FileFacts(False)
    return FileFacts(
        True, scan(text) if uses else {}, reader.definitions, reader.bases, reader.imports, _exported(tree.body)
    )


class _Reader:
    """Collects definitions and imports. Walks statements only, never expressions: that is what makes it fast."""

    def __init__(self, text: str) -> None:
        self.lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")  # as the parser counts them
        self.definitions: list[DefinitionFact] = []
        self.bases: dict[str, list[str]] = {}
        self.imports: list[ImportFact] = []

    def block(self, body: list[ast.stmt], scope: str, function: str) -> None:
        """Statements of a module or class ``scope``, or of a ``function`` whose ``self.x`` belong to ``scope``."""
        for statement in body:
            self._statement(statement, scope, function)

    def _statement(self, node: ast.stmt, scope: str, function: str) -> None:
        match node:
            case ast.Import() | ast.ImportFrom():
                self.imports.extend(_import_facts(node, top=not function))
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._function(node, scope, function)
            case ast.ClassDef() if not function:
                self._class(node, scope)
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                self._assignment(node, scope, function)
            case ast.If() if parsing.is_for_type_checkers(node):
                self.block(node.body, scope, function or _NO_SELF)
                self.block(node.orelse, scope, function)
            case _:
                for inner in _inner_blocks(node):
                    self.block(inner, scope, function)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: str, function: str) -> None:
        if function:
            self.block(node.body, scope, function)
            return
        decorators = _decorators(node)
        if any(name in _PROPERTY for name in decorators.split()):
            returns = f": {ast.unparse(node.returns)}" if node.returns else ""
            self._add(node.name, scope, "variable", f"{node.name}{returns}", node, decorators)
        else:
            kind = "method" if scope else "function"
            self._add(node.name, scope, kind, self._header(node), node, decorators)
        arguments = [*node.args.posonlyargs, *node.args.args]
        first = arguments[0].arg if scope and arguments else _NO_SELF
        self.block(node.body, scope, first)

    def _class(self, node: ast.ClassDef, scope: str) -> None:
        bases = [ast.unparse(part) for part in (*node.bases, *node.keywords)]
        header = f"class {node.name}({', '.join(bases)})" if bases else f"class {node.name}"
        self._add(node.name, scope, "class", header, node, _decorators(node))
        qualname = f"{scope}.{node.name}" if scope else node.name
        self.bases[qualname] = bases
        self.block(node.body, qualname, "")

    def _assignment(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign, scope: str, function: str) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            for leaf in target.elts if isinstance(target, ast.Tuple) else [target]:
                name = _bound_name(leaf, function)
                if name:
                    self._add(name, scope, "variable", self._assigned(node, name, leaf is targets[0]), node)

    def _add(self, name: str, scope: str, kind: str, signature: str, node: ast.stmt, decorators: str = "") -> None:
        qualname = f"{scope}.{name}" if scope else name
        self.definitions.append(DefinitionFact(name, qualname, kind, signature, node.lineno - 1, decorators))

    def _header(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
        line = self.lines[node.lineno - 1].strip()
        short = len(line) < _LONGEST_SIGNATURE and node.body[0].lineno > node.lineno
        if short and line.endswith(":") and "#" not in line:
            return line[:-1].rstrip()
        return function_signature(node)

    def _assigned(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign, name: str, alone: bool) -> str:
        line = self.lines[node.lineno - 1].strip()
        short = node.end_lineno == node.lineno and len(line) < _LONGEST_SIGNATURE and not {"#", ";"} & set(line)
        if alone and short and not isinstance(node, ast.AugAssign):
            return line[line.index(name) :] if name in line else line
        annotation = f": {ast.unparse(node.annotation)}" if isinstance(node, ast.AnnAssign) else ""
        return f"{name}{annotation} = ..."


def function_signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """``def name(a: int, b=...) -> str``; defaults longer than a short literal become ``...``."""
    arguments = node.args
    for defaults in (arguments.defaults, arguments.kw_defaults):
        for position, default in enumerate(defaults):
            if default is not None and len(ast.unparse(default)) > _LONGEST_DEFAULT:
                defaults[position] = ast.Constant(value=...)
    keyword = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{keyword} {node.name}({ast.unparse(arguments)}){returns}"


def _inner_blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        yield getattr(node, name, [])
    for inner in [*getattr(node, "handlers", []), *getattr(node, "cases", [])]:
        yield inner.body


def _import_facts(node: ast.Import | ast.ImportFrom, top: bool) -> Iterator[ImportFact]:
    for alias in node.names:
        if isinstance(node, ast.Import):
            yield ImportFact(alias.name, "", alias.asname or "", 0, top)
        else:
            yield ImportFact(node.module or "", alias.name, alias.asname or "", node.level, top)


def _decorators(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    calls = (item.func if isinstance(item, ast.Call) else item for item in node.decorator_list)
    return " ".join(item.attr if isinstance(item, ast.Attribute) else getattr(item, "id", "?") for item in calls)


def _bound_name(target: ast.expr, function: str) -> str:
    """The name that an assignment to ``target`` defines; in a method that is an attribute of its first parameter."""
    if not function:
        return target.id if isinstance(target, ast.Name) else ""
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == function:
        return target.attr
    return ""


def _exported(body: list[ast.stmt]) -> list[str] | None:
    """What ``__all__`` holds; None where there is none, or not all of it is written there."""
    found: list[str] | None = None
    for node in body:
        if isinstance(node, ast.Expr) and ast.unparse(node).startswith("__all__."):  # extend, remove
            return None
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if not any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            continue
        value = getattr(node, "value", None)
        items = value.elts if isinstance(value, ast.List | ast.Tuple) else [None]
        names = [item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)]
        if len(names) < len(items):
            return None
        found = [*(found or ()), *names] if isinstance(node, ast.AugAssign) else names
    return found
