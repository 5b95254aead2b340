"""Which true names the tool would offer, asked of files whose text is complete: the offline side of the tool.

While a body is written Jedi sees a repaired buffer that changes with every token. In a corpus the text is complete, so
one buffer and one inference serve all questions about a file, and a receiver that means the same in several functions
is asked for once. What the unfinished body could not have told (attributes that only it assigns) is taken out again,
by syntax. Sources, filters and repository are those of ``JediTool``. Start reading at ``WholeFileTool.offered``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from generation.config import ToolConfig
from generation.tools.filtering import MOST_INDEX_NAMES, is_offered
from generation.tools.jedi_tool import Index
from generation.tools.position import question
from generation.tools.receiver import receiver_of
from generation.tools.scope import bound_names
from generation.tools.worker_pool import WorkerPool
from generation.types import NameKind

_PATH = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class WholeFunction:
    """A function of a complete file.

    Attributes:
        node: in the file's tree.
        owner: the class it is a method of; None for a function.
        body: span of what would be written, in code points.
    """

    node: FunctionNode
    owner: ast.ClassDef | None
    body: tuple[int, int]


@dataclass(frozen=True, slots=True)
class AskedAttribute:
    """An attribute of the true text: where its name starts, the line of that (1-based), and the name."""

    offset: int
    line: int
    name: str


class WholeFileTool:
    """Answers for one repository.

    Args:
        root: the repository.
        config: of the workers.
        index: second source of members.
    """

    def __init__(self, root: Path, config: ToolConfig, index: Index) -> None:
        self._config = config
        self._index = index
        self._pool = WorkerPool(root.absolute(), config.python, config)
        self._file: tuple[Path, str] = (root, "")
        self._answers: dict[Hashable, frozenset[str]] = {}

    def offered(self, path: Path, text: str, function: WholeFunction, asked: Sequence[AskedAttribute]) -> list[bool]:
        """Whether each name would be among the tool's suggestions while the function's body is written."""
        if self._file != (path, text):
            self._file = (path, text)
            self._answers.clear()
        facts = _Facts(function, _bindings(function.node), _made_only_here(function))
        return [self._offers(path, text, facts, one) for one in asked]

    def close(self) -> None:
        """End the tool's processes."""
        self._pool.close()

    def _offers(self, path: Path, text: str, facts: _Facts, one: AskedAttribute) -> bool:
        receiver = receiver_of(text[max(0, one.offset - 2100) : one.offset])
        if receiver is None:
            return False
        before, after = text[: one.offset], text[facts.function.body[1] :]
        if not is_offered(one.name, receiver, before + after):
            return False
        if one.line > min(facts.bindings.get(f"{receiver}.{one.name}", [one.line])):
            return True  # this function has assigned it above
        key = _key(receiver, facts, one)
        found = self._answers[key] if key in self._answers else self._ask(key, path, text, one)
        if one.name in found and not (one.name in facts.made_only_here and _is_self(receiver, facts.function)):
            return True
        return one.name in self._index.members(receiver, path, before + after, len(before))[:MOST_INDEX_NAMES]

    def _ask(self, key: Hashable, path: Path, text: str, one: AskedAttribute) -> frozenset[str]:
        asked = {**question(path, text, one.offset, NameKind.ATTRIBUTE), "epoch": 0}
        reply = self._pool.wait(self._pool.submit(asked), self._config.deadline_s)
        found = frozenset(str(name) for name, _ in reply.get("names", ()))
        if "error" not in reply:  # else Jedi is asked again where the receiver stands next
            self._answers[key] = found
        return found


@dataclass(frozen=True, slots=True)
class _Facts:
    """What syntax says about a function; ``bindings`` are lines on which it binds names and dotted paths."""

    function: WholeFunction
    bindings: dict[str, list[int]]
    made_only_here: frozenset[str]


def _bindings(function: FunctionNode) -> dict[str, list[int]]:
    """Lines on which the function binds names and dotted paths."""
    lines: dict[str, list[int]] = {}
    for node in ast.walk(function):
        for name in bound_names(node) if node is not function else ():
            lines.setdefault(name, []).append(getattr(node, "lineno", function.lineno))
    return lines


def _key(receiver: str, facts: _Facts, one: AskedAttribute) -> Hashable:
    """What the members of the receiver depend on: the file, the class, or this function up to a line."""
    function, bindings = facts.function, facts.bindings
    bound = {name for path in _PATH.findall(receiver) for name in _prefixes(path) if name in bindings}
    if not bound:
        return receiver
    first = function.node.args.args[:1]
    if function.owner is not None and first and bound == {first[0].arg}:
        return (function.owner.name, function.owner.lineno, receiver)
    last = max((line for name in bound for line in bindings[name] if line < one.line), default=0)
    return (function.node.lineno, receiver, last)


def _prefixes(path: str) -> Iterator[str]:
    parts = path.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _made_only_here(function: WholeFunction) -> frozenset[str]:
    """Attributes of the object that nothing in the class but this function's body makes, by syntax."""
    if function.owner is None:
        return frozenset()
    inside = {id(node) for node in ast.walk(function.node)}
    here, elsewhere = set[str](), set[str]()
    for node in ast.walk(function.owner):
        if name := _made_by(node):
            (here if id(node) in inside else elsewhere).add(name)
    return frozenset(here - elsewhere)


def _made_by(node: ast.AST) -> str:
    match node:
        case ast.Attribute(attr=str(name), ctx=ast.Store()) | ast.Name(id=str(name), ctx=ast.Store()):
            return name
        case ast.FunctionDef(name=str(name)) | ast.AsyncFunctionDef(name=str(name)) | ast.ClassDef(name=str(name)):
            return name
    return ""


def _is_self(receiver: str, function: WholeFunction) -> bool:
    first = function.node.args.args[:1]
    return function.owner is not None and bool(first) and receiver == first[0].arg
