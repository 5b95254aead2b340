"""Invariants that no other check sees: what an import brings along, and what the code looks like."""

from __future__ import annotations

import ast
import pkgutil
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TypeGuard

import pytest

import generation
import lsp_server
from generation import errors

HEAVY = ("torch", "transformers", "jedi", "pylint")
COMMANDS = ["main", "generate", "model", "doctor", "bench", "evaluate"]
LIBRARY = ["generation.service", "generation.interfaces", "generation.models", "lsp_server.command", "lsp_server.serve"]
LIGHT = [*LIBRARY, *(f"generation.cli.{command}" for command in COMMANDS)]
SOURCES = sorted(path for package in (generation, lsp_server) for path in Path(package.__path__[0]).rglob("*.py"))


@pytest.mark.parametrize("module", LIGHT)
def test_importing_brings_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_no_file_outgrows_its_reader() -> None:
    root = Path(next(iter(generation.__path__)))
    modules = [info.name for info in pkgutil.walk_packages([str(root)], "generation.") if not info.ispkg]
    assert len(modules) > 20
    long = {p.name: n for p in SOURCES if (n := len(p.read_text(encoding="utf-8").splitlines())) > 450}
    assert long == {}


def test_functions_are_taken_in_at_once() -> None:
    """Half of the functions have at most 8 lines of body, 95 of 100 at most 25; docstrings are not counted."""
    lengths = sorted(_body_lines(node) for path in SOURCES for node in ast.walk(_parsed(path)) if _is_function(node))
    assert statistics.median(lengths) <= 8
    assert lengths[len(lengths) * 95 // 100] <= 25


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_module_says_what_it_is(path: Path) -> None:
    assert path.stem not in {"utils", "helpers", "manager", "base", "common", "misc"}
    assert ast.get_docstring(_parsed(path))


def test_the_error_tree_is_drawn_as_it_is() -> None:
    drawn = {
        name: depth
        for line in (errors.__doc__ or "").splitlines()
        if (found := re.match(r"( {4}[ │├└─]*)(\w+Error)\b", line))
        for depth, name in [(len(found[1]) // 4 - 1, found[2])]
    }
    classes = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert drawn == {name: kind.__mro__.index(Exception) - 1 for name, kind in classes.items()}


def test_tests_are_no_packages() -> None:
    assert list(Path(__file__).parent.rglob("__init__.py")) == []


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _is_function(node: ast.AST) -> TypeGuard[ast.FunctionDef]:
    return isinstance(node, ast.FunctionDef)


def _body_lines(function: ast.FunctionDef) -> int:
    body = function.body[ast.get_docstring(function) is not None :]
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0
