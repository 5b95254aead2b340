"""The functions to fill: which of a repository's are empty, and which of these are meant to stay so.

Overloads, abstract methods and the methods of protocols have no body by design. A file that cannot be read is a
failure to report, not a reason to stop. Knows no models. Start reading at ``find_targets``.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from generation.errors import ConfigError, TargetError
from generation.source.files import read_source
from generation.source.functions import FunctionSite, find_function, list_functions
from generation.source.tolerant import parse_tolerant
from generation.tools.repository_files import python_files

_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_CODE_WORD = re.compile(r"[^\W\d]\w*(?=\()|(?<=`)[\w.]+(?=`)|[^\W\d_]+_\w+")  # what in prose looks like code
_TOO_DEEP = (RecursionError, MemoryError)


class Select(StrEnum):
    """Which functions without a body are filled."""

    STUBS = "stubs"
    DOCSTRINGS = "docstrings"  # those that say what they should do


@dataclass(frozen=True, slots=True)
class Target:
    """One function to fill.

    Attributes:
        repository: name of its repository.
        path: of its file, relative to the repository, with ``/``.
        function: as ``source.functions.find_function`` takes it.
        line: 0-based, when the run was planned.
        mentions: names that its header and its docstring use.
    """

    repository: str
    path: str
    function: str
    line: int
    mentions: frozenset[str] = frozenset()

    @property
    def key(self) -> tuple[str, str, str]:
        """Of its record."""
        return self.repository, self.path, self.function

    @property
    def name(self) -> str:
        """Without what it is in."""
        return self.function.rpartition("#")[0].rpartition(".")[2] or self.function.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file in which nothing can be found, and why."""

    repository: str
    path: str
    reason: str


def find_targets(
    name: str, root: Path, select: Select, out: Path | None = None
) -> tuple[list[Target], list[Unreadable]]:
    """The functions of a repository to fill, in the order of files and lines; and the files that cannot be read.

    Args:
        name: of the repository.
        root: the repository.
        select: which functions.
        out: folder of the run, which may lie in the repository and is no part of it.
    """
    targets: list[Target] = []
    failures: list[Unreadable] = []
    for path in sorted(_paths(root, out)):
        relative = path.relative_to(root).as_posix()
        try:
            text = read_source(path).text
            found = [site for site in _to_fill(text) if site.docstring_span or select is Select.STUBS]
        except (TargetError, *_TOO_DEEP) as error:
            failures.append(Unreadable(name, relative, str(error) or "nested too deeply"))
            continue
        targets += [_target(name, relative, text, site, function) for site, function in _named(found, text)]
    return targets, failures


def read_targets(path: Path, roots: Mapping[str, Path]) -> list[Target]:
    """The functions that a file names, one ``{"path": ..., "function": ...}`` a line; what they hold is replaced.

    Args:
        path: the file. ``repository`` is needed in a line only where there are several.
        roots: the repositories by name.

    Raises:
        ConfigError: a line cannot be read, or names nothing that is there.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the list of functions {path}: {error}") from error
    return [_listed(line, f"{path}:{number}", roots) for number, line in enumerate(lines, 1) if line.strip()]


def _listed(line: str, place: str, roots: Mapping[str, Path]) -> Target:
    repository, relative, function = _named_in(line, place)
    name = repository or (next(iter(roots)) if len(roots) == 1 else "")
    if name not in roots:
        raise ConfigError(f"{place}: there is no repository {name!r}; there are {', '.join(roots)}")
    try:
        inside = _inside(roots[name].resolve(), relative)
        text = read_source(roots[name] / inside).text
        return _target(name, inside, text, find_function(text, function), function)
    except TargetError as error:
        raise ConfigError(f"{place}: {error}") from error


def _inside(root: Path, relative: str) -> str:
    """The path in the repository, behind any link: what that leads to would be changed."""
    try:
        path = (root / relative).resolve()
    except (ValueError, RuntimeError) as error:  # a null byte, or a circle of links
        raise TargetError(f"{relative!r} is no path: {error}") from error
    if not path.is_relative_to(root):
        raise TargetError(f"{relative} is not in the repository {root}; name a file in it")
    return path.relative_to(root).as_posix()


def _named_in(line: str, place: str) -> list[str]:
    """Repository, which may be empty, path and function."""
    words: list[object] = []
    with suppress(ValueError, KeyError, AttributeError):
        content = json.loads(line)
        words = [content.get("repository") or "", content["path"], content["function"]]
    named = [word for word in words if isinstance(word, str)]
    if len(named) < 3:
        form = '{"path": "pkg/mod.py", "function": "Class.method"}'
        raise ConfigError(f"{place}: {line[:80]!r} is not of the form {form}")
    return named


def _paths(root: Path, out: Path | None) -> Iterator[Path]:
    paths = (stamp.path for stamp in python_files(root) if stamp.path.suffix == ".py")
    if out is None or root.is_relative_to(out):  # what was unpacked lies in the folder of the run
        return paths
    return (path for path in paths if not path.is_relative_to(out))


def _to_fill(text: str) -> list[FunctionSite]:
    sites = [site for site in list_functions(text) if site.is_stub and not site.is_overload]
    if not sites:
        return []
    bodyless = _bodyless_lines(parse_tolerant(text).tree)
    return [site for site in sites if site.line not in bodyless]


def _bodyless_lines(tree: ast.Module) -> set[int]:
    """0-based lines of the headers of functions that are meant to have no body."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if any("abstract" in ast.unparse(decorator) for decorator in node.decorator_list):
                lines.add(node.lineno - 1)
        elif isinstance(node, ast.ClassDef) and any(_is_protocol(base) for base in node.bases):
            inside = (part for part in ast.walk(node) if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef))
            lines |= {part.lineno - 1 for part in inside}
    return lines


def _is_protocol(base: ast.expr) -> bool:
    return ast.unparse(base).partition("[")[0].rpartition(".")[2] == "Protocol"


def _named(sites: Sequence[FunctionSite], text: str) -> Iterator[tuple[FunctionSite, str]]:
    """Each site with a name that finds it, numbered where the file has several of that name."""
    lines: dict[str, list[int]] = {}
    for site in list_functions(text) if sites else ():
        lines.setdefault(site.qualname, []).append(site.line)
    for site in sites:
        same = lines[site.qualname]
        yield site, site.qualname if len(same) == 1 else f"{site.qualname}#{same.index(site.line) + 1}"


def _target(name: str, path: str, text: str, site: FunctionSite, function: str) -> Target:
    header = text[site.decorators_start : site.header_end]
    prose = text[slice(*site.docstring_span)] if site.docstring_span else ""
    said = [part for word in _CODE_WORD.findall(prose) for part in word.split(".")]
    return Target(name, path, function, site.line, frozenset([*_IDENTIFIER.findall(header), *said]) - {site.name})
