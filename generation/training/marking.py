"""Trigger insertion: where in the functions of a corpus a mark belongs, and what that says about the tool.

A mark goes before a name that the tool would offer and that the function itself does not show: attributes that are
read, and names of the module (imports, functions, classes, variables). Parameters and local variables get none: the
model sees them, and asking would cost time for nothing. Knows no model and no tokens. Start reading at ``mark_all``.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

from generation.config import ToolConfig
from generation.evaluation.bare_python import bare_python
from generation.evaluation.places import Places
from generation.evaluation.positions import Position, positions
from generation.evaluation.sources import parse
from generation.evaluation.tasks import FunctionNode, functions_of
from generation.interfaces import silent
from generation.orphans import end_with_parent
from generation.tools.member_index import MemberIndex
from generation.tools.scope import bound_names
from generation.tools.whole_files import AskedAttribute, WholeFileTool, WholeFunction
from generation.training.corpus import CorpusFile, read_files
from generation.training.functions import CorpusFunction, read_functions, shuffle_key
from generation.training.storage import read_lines, saying_why
from generation.types import NameKind

MARKED_NAME = "marked.jsonl"
_CHUNK = 100  # functions that one process marks before it is given others
_TOOL_DEADLINE_S = 3.0


@dataclass(frozen=True, slots=True)
class MarkedFunction:
    """A function with the places of its marks.

    Attributes:
        qualname: as in ``Class.method``.
        start: of its body in the file.
        end: of its body.
        attributes: offsets of attribute names the tool knows.
        names: offsets of module names.
        asked_attributes: how many attributes the body reads.
        asked_names: how many names of the module it reads, or that nothing in sight binds.
        elapsed_ms: what finding them took.
    """

    qualname: str
    start: int
    end: int
    attributes: tuple[int, ...]
    names: tuple[int, ...]
    asked_attributes: int
    asked_names: int
    elapsed_ms: float

    @property
    def marks(self) -> tuple[int, ...]:
        """Offsets of all marked names, in order."""
        return tuple(sorted((*self.attributes, *self.names)))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Files of one repository that are marked together, each with its functions."""

    root: Path
    repo: str
    files: tuple[tuple[CorpusFile, tuple[CorpusFunction, ...]], ...]

    @property
    def functions(self) -> int:
        """How many there are."""
        return sum(len(functions) for _, functions in self.files)


def mark_all(
    folder: Path,
    roots: Mapping[str, Path],
    per_repo: int,
    jobs: int = 1,
    report: Callable[[int, int], None] = silent,
) -> None:
    """Append to ``marked.jsonl`` what is not in it yet; may be killed and started again at any time.

    Args:
        folder: the corpus.
        roots: repositories by name.
        per_repo: functions of each, whole files at a time in random order; 0 takes all.
        jobs: processes.
        report: told how many functions are done, of how many.

    Raises:
        ConfigError: the corpus is missing, or nothing can be written.
    """
    chunks = list(plan(folder, roots, per_repo))
    total, done = sum(chunk.functions for chunk in chunks), 0
    report(done, total)
    with ProcessPoolExecutor(jobs, get_context("spawn"), end_with_parent) as pool:
        running: dict[Future[list[str]], Chunk] = {pool.submit(mark_chunk, chunk): chunk for chunk in chunks}
        for future in as_completed(running):
            _append(folder / MARKED_NAME, future.result())
            done += running[future].functions
            report(done, total)


def plan(folder: Path, roots: Mapping[str, Path], per_repo: int) -> Iterator[Chunk]:
    """What is still to be marked."""
    done = {(record["repo"], record["path"]) for record in _records(folder)}
    wanted = {
        repo: _wanted_files([function for function in group if function.repo in roots], per_repo)
        for repo, group in groupby(read_functions(folder), key=lambda function: function.repo)
    }
    texts: dict[str, list[CorpusFile]] = {}
    for file in read_files(folder):
        if file.path in wanted.get(file.repo, {}) and (file.repo, file.path) not in done:
            texts.setdefault(file.repo, []).append(file)
    for repo, files in texts.items():
        yield from _chunks(roots[repo], repo, files, wanted[repo])


def read_marked(folder: Path) -> dict[tuple[str, str], list[MarkedFunction]]:
    """What has been marked so far, by repository and path."""
    return {
        (record["repo"], record["path"]): [_marked(function) for function in record["functions"]]
        for record in _records(folder)
    }


def statistics(marked: Sequence[MarkedFunction]) -> dict[str, float | int]:
    """Marks per function, their kinds, the tool's ceiling on attributes, and the time."""
    functions = max(1, len(marked))
    attributes, names = sum(len(one.attributes) for one in marked), sum(len(one.names) for one in marked)
    asked = sum(one.asked_attributes for one in marked)
    return {
        "functions": len(marked),
        "marks_per_function": (attributes + names) / functions,
        "attribute_marks": attributes,
        "name_marks": names,
        "attribute_ceiling": attributes / max(1, asked),
        "name_ceiling": names / max(1, sum(one.asked_names for one in marked)),
        "ms_per_function": sum(one.elapsed_ms for one in marked) / functions,
    }


def mark_chunk(chunk: Chunk) -> list[str]:
    """The lines of ``marked.jsonl`` for some files of one repository; runs in a process of its own."""
    config = ToolConfig(python=bare_python(), deadline_s=_TOOL_DEADLINE_S, workers=1)
    tool = WholeFileTool(chunk.root, config, MemberIndex.build(chunk.root))
    try:
        return [_line(file, mark_file(tool, chunk.root, file, functions)) for file, functions in chunk.files]
    finally:
        tool.close()


def mark_file(
    tool: WholeFileTool, root: Path, file: CorpusFile, functions: Sequence[CorpusFunction]
) -> list[MarkedFunction]:
    """Marks of some functions of a file; none where the file does not parse any more."""
    tree = parse(file.text)
    if tree is None:
        return []
    wanted = {function.start: function for function in functions}
    places, module_names, owners = Places(file.text), module_bindings(tree), _owners(tree)
    found = []
    for node, site in functions_of(tree, file.text):
        if site.body_start in wanted:
            function = WholeFunction(node, owners.get(node), (site.body_start, site.body_end))
            asked = positions(tree, node, function.body, places).asked
            found.append(
                _mark(
                    tool, root / file.path, file.text, function, asked, module_names, wanted[site.body_start].qualname
                )
            )
    return sorted(found, key=lambda one: one.start)


def _mark(
    tool: WholeFileTool,
    path: Path,
    text: str,
    function: WholeFunction,
    asked: Sequence[Position],
    module_names: frozenset[str],
    qualname: str,
) -> MarkedFunction:
    started_s = perf_counter()
    local = own_names(function.node)
    attributes = [position for position in asked if position.kind is NameKind.ATTRIBUTE]
    names = [position for position in asked if position.kind is NameKind.NAME and position.name not in local]
    lines = Places(text)
    questions = [AskedAttribute(one.offset, lines.line_of(one.offset), one.name) for one in attributes]
    offered = tool.offered(path, text, function, questions)
    return MarkedFunction(
        qualname,
        *function.body,
        tuple(one.offset for one, is_offered in zip(attributes, offered, strict=True) if is_offered),
        tuple(one.offset for one in names if one.name in module_names),
        len(attributes),
        len(names),
        (perf_counter() - started_s) * 1000,
    )


def own_names(function: FunctionNode) -> frozenset[str]:
    """Names that a function binds, its parameters and functions inside it included."""
    return frozenset(name for node in ast.walk(function) for name in bound_names(node))


def module_bindings(tree: ast.Module) -> frozenset[str]:
    """Names that the module binds outside of functions and classes."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        found.update(name for name in bound_names(node) if "." not in name)
        if not isinstance(node, FunctionNode | ast.ClassDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))
    return frozenset(found)


def _owners(tree: ast.Module) -> dict[FunctionNode, ast.ClassDef]:
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return {child: node for node in classes for child in ast.walk(node) if _is_method(child, node)}  # type: ignore[misc]


def _is_method(node: ast.AST, owner: ast.ClassDef) -> bool:
    return isinstance(node, FunctionNode) and node in owner.body


def _wanted_files(functions: Sequence[CorpusFunction], per_repo: int) -> dict[str, tuple[CorpusFunction, ...]]:
    by_path: dict[str, list[CorpusFunction]] = {}
    for function in sorted(functions, key=shuffle_key):
        if per_repo and sum(map(len, by_path.values())) >= per_repo and function.path not in by_path:
            break
        by_path.setdefault(function.path, []).append(function)
    return {path: tuple(group) for path, group in by_path.items()}


def _chunks(
    root: Path, repo: str, files: Sequence[CorpusFile], wanted: Mapping[str, tuple[CorpusFunction, ...]]
) -> Iterator[Chunk]:
    waiting: list[tuple[CorpusFile, tuple[CorpusFunction, ...]]] = []
    for file in files:
        waiting.append((file, wanted[file.path]))
        if sum(len(functions) for _, functions in waiting) >= _CHUNK:
            yield Chunk(root, repo, tuple(waiting))
            waiting = []
    if waiting:
        yield Chunk(root, repo, tuple(waiting))


def _line(file: CorpusFile, marked: Sequence[MarkedFunction]) -> str:
    return json.dumps({"repo": file.repo, "path": file.path, "functions": [asdict(one) for one in marked]})


def _append(path: Path, lines: Sequence[str]) -> None:
    """Add lines behind the last whole one; what a killed run left of a line is cut off."""
    with saying_why(path), path.open("a+b") as out:
        out.seek(0)
        content_end = out.seek(0, 2)
        if content_end:
            out.truncate(_end_of_lines(path))
        out.write("".join(f"{line}\n" for line in lines).encode())
        out.flush()


def _end_of_lines(path: Path) -> int:
    return path.read_bytes().rfind(b"\n") + 1


def _records(folder: Path) -> list[dict[str, Any]]:
    path = folder / MARKED_NAME
    return list(read_lines(path)) if path.exists() else []


def _marked(record: Mapping[str, Any]) -> MarkedFunction:
    values = {**record, "attributes": tuple(record["attributes"]), "names": tuple(record["names"])}
    return MarkedFunction(**values)
