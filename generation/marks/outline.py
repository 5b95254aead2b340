"""What a file declares, read from its syntax tree: imports, classes with their members, top-level definitions.

Text that does not parse is read as far as it does: ``parse`` blanks the block around an error and tries again. Nothing
is resolved here, so a base class is a spelling and an import is not looked up. Start reading at ``parse``, whose tree
all other functions take.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from generation.source import parsing
from generation.source.parsing import blocks_of
from generation.types import ImportNeeded

Function = ast.FunctionDef | ast.AsyncFunctionDef

_OPENS_BLOCK = re.compile(r"[ \t]*(?:@|(?:async[ \t]+)?def\b|class\b)")
_PARSE_ATTEMPTS = 4
_LONGEST_VALUE = 40  # characters of a value that is shown with its variable
_LONGEST_DEFAULT = 24


@dataclass(frozen=True, slots=True)
class Member:
    """Something a class or module declares; spelled out only when asked, as files declare far more than a prompt shows.

    Attributes:
        kind: function, class, variable, method or attribute; a property is an attribute.
        line: 0-based, of its first line, decorators included.
        header: the definition of a function, method or class.
        annotation: the type of a variable or attribute, where it has one.
        value: what a variable or attribute is first set to.
    """

    name: str
    kind: str
    line: int
    header: Function | ast.ClassDef | None = None
    annotation: ast.expr | None = None
    value: ast.expr | None = None

    def holds(self, line: int) -> bool:
        """Whether ``line`` is part of the definition."""
        return self.header is not None and self.line <= line < (self.header.end_lineno or 0)

    @property
    def declaration(self) -> str:
        """One line of Python: ``def send(self)``, ``class Session(Base)``, ``limit = 3``, ``timeout: float``."""
        if self.header:
            return signature_line(self.header)
        if self.annotation:
            return f"{self.name}: {ast.unparse(self.annotation)}"
        value = ast.unparse(self.value) if self.value else "..."
        return f"{self.name} = {value if len(value) <= _LONGEST_VALUE else '...'}"


@dataclass(frozen=True, slots=True)
class ClassOutline:
    """A class as its members see it. Lines are 0-based; ``body_line`` is the first after header and docstring."""

    name: str
    bases: tuple[str, ...]
    line: int
    body_line: int
    members: tuple[Member, ...]


def parse(text: str) -> ast.Module:
    """The tree of ``text``, which has Unix line ends. Blocks that do not parse are left out; line numbers stay."""
    lines = text.split("\n")
    for attempt in range(_PARSE_ATTEMPTS):
        try:
            return parsing.parse("\n".join(lines))
        except SyntaxError as error:
            _blank_block(lines, (error.lineno or 1) - 1, whole=attempt > 0)
        except (ValueError, RecursionError, MemoryError):
            break
    return ast.Module(body=[], type_ignores=[])


def _blank_block(lines: list[str], error_line: int, whole: bool) -> None:
    """Replace the function or class around ``error_line`` by ``pass``; with ``whole``, what stands at the top level."""
    error_line = min(error_line, len(lines) - 1)
    start = _block_start(lines, error_line, whole)
    indent = indent_of(lines[start])
    end = start + 1
    while end < len(lines) and (end <= error_line or not _leaves(lines[end], indent)):
        end += 1
    lines[start:end] = [f"{indent}pass", *[""] * (end - start - 1)]


def _block_start(lines: Sequence[str], error_line: int, whole: bool) -> int:
    """The line of the definition that ``error_line`` is, or stands in; itself when it stands in none."""
    level = 1 if whole else len(indent_of(lines[error_line]))
    for number in range(error_line, -1, -1):
        line = lines[number]
        if _OPENS_BLOCK.match(line) and (number == error_line or len(indent_of(line)) < level):
            return number
        if line.strip() and not line[0].isspace():
            return number
    return error_line


def _leaves(line: str, indent: str) -> bool:
    return bool(line.strip()) and len(indent_of(line)) <= len(indent) and line.lstrip()[0] not in ")]}#"


def indent_of(line: str) -> str:
    """The white space a line starts with."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def first_line(node: ast.stmt) -> int:
    """0-based line a statement starts on, decorators included."""
    decorators: Sequence[ast.expr] = getattr(node, "decorator_list", ())
    return min([node.lineno, *[decorator.lineno for decorator in decorators]]) - 1


def imports_of(tree: ast.Module) -> tuple[ImportNeeded, ...]:
    """What the module imports at its top level, also under ``if`` and ``try``. Relative modules keep their dots."""
    return tuple(name for node in _import_statements(tree.body) for name in _imported_names(node))


def import_statements(tree: ast.Module) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """The import statements of the module's top level, also under ``if`` and ``try``."""
    return tuple(_import_statements(tree.body))


def _import_statements(body: Sequence[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If | ast.Try):
            yield from _import_statements(node.body)


def _imported_names(node: ast.Import | ast.ImportFrom) -> Iterator[ImportNeeded]:
    if isinstance(node, ast.Import):
        yield from (ImportNeeded(alias.name, None, alias.asname) for alias in node.names)
    else:
        module = "." * node.level + (node.module or "")
        yield from (ImportNeeded(module, alias.name, alias.asname) for alias in node.names)


def signature_line(node: Function | ast.ClassDef) -> str:
    """The header of a definition on one line, without the colon: ``def send(self, n: int=3) -> str``."""
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in [*node.bases, *node.keywords])
        return f"class {node.name}({bases})" if bases else f"class {node.name}"
    keyword = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{keyword} {node.name}({_parameters(node.args)}){returns}"


def _parameters(arguments: ast.arguments) -> str:
    """The parameters; a long default becomes ``...``."""
    short = ast.arguments(**{name: getattr(arguments, name) for name in ast.arguments._fields})
    short.defaults = [_short_default(default) for default in arguments.defaults]
    short.kw_defaults = [default and _short_default(default) for default in arguments.kw_defaults]
    return ast.unparse(short)


def _short_default(default: ast.expr) -> ast.expr:
    return default if len(ast.unparse(default)) <= _LONGEST_DEFAULT else ast.Constant(...)


def module_outline(tree: ast.Module) -> tuple[Member, ...]:
    """Functions, classes and variables of the module's top level."""
    return tuple(member for node in tree.body for member in _members_of(node, method="function", value="variable"))


def enclosing_class(tree: ast.Module, line: int) -> ClassOutline | None:
    """The innermost class that the 0-based ``line`` stands in."""
    found: ast.ClassDef | None = None
    body: Sequence[ast.stmt] = tree.body
    while inner := next((node for node in body if _spans(node, line)), None):
        found = inner if isinstance(inner, ast.ClassDef) else found
        body = [child for block in blocks_of(inner) for child in block]
    return _class_outline(found) if found else None


def _spans(node: ast.stmt, line: int) -> bool:
    return first_line(node) <= line < (node.end_lineno or node.lineno)


def _class_outline(node: ast.ClassDef) -> ClassOutline:
    declared = [member for child in node.body for member in _members_of(child, method="method", value="attribute")]
    assigned = [member for child in node.body if isinstance(child, Function) for member in _self_attributes(child)]
    members: dict[str, Member] = {}
    for member in [*declared, *assigned]:
        members.setdefault(member.name, member)
    body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    return ClassOutline(
        name=node.name,
        bases=tuple(ast.unparse(base) for base in node.bases),
        line=first_line(node),
        body_line=first_line(body[0]) if body else (node.end_lineno or node.lineno),
        members=tuple(sorted(members.values(), key=lambda member: member.line)),
    )


def _members_of(node: ast.stmt, *, method: str, value: str) -> Iterator[Member]:
    line = first_line(node)
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() if _is_property(node):
            yield Member(node.name, value, line, annotation=node.returns)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield Member(node.name, method, line, header=node)
        case ast.ClassDef():
            yield Member(node.name, "class", line, header=node)
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield Member(name, value, line, annotation=node.annotation)
        case ast.Assign(targets=[ast.Name(id=name)]) if not name.startswith("__"):
            yield Member(name, value, line, value=node.value)


def _is_property(node: Function) -> bool:
    return any(ast.unparse(decorator).endswith("property") for decorator in node.decorator_list)


def _self_attributes(function: Function) -> Iterator[Member]:
    """Attributes that a method sets on its first parameter, annotated where the text says how."""
    parameters = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    owner = parameters[0].arg if parameters else ""
    annotations = {parameter.arg: parameter.annotation for parameter in parameters}
    for node in _statements(function.body):
        match node:
            case ast.AnnAssign(target=ast.Attribute(value=ast.Name(id=name), attr=attribute)) if name == owner:
                yield Member(attribute, "attribute", first_line(node), annotation=node.annotation)
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id=name), attr=attribute)]) if name == owner:
                annotation = annotations.get(node.value.id) if isinstance(node.value, ast.Name) else None
                yield Member(attribute, "attribute", first_line(node), annotation=annotation, value=node.value)


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a function, those in its blocks included, without their expressions."""
    for node in body:
        yield node
        for block in blocks_of(node):
            yield from _statements(block)
