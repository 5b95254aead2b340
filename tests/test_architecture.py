"""Invariants that no other check sees: what an import brings along."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import generation

HEAVY = ("torch", "transformers", "jedi", "pylint")
LIGHT = ["generation.service", "generation.cli.main", "generation.interfaces", "generation.models", "lsp_server"]


@pytest.mark.parametrize("module", LIGHT)
def test_importing_brings_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_no_file_outgrows_its_reader() -> None:
    root = Path(next(iter(generation.__path__)))
    modules = [info.name for info in pkgutil.walk_packages([str(root)], "generation.") if not info.ispkg]
    assert len(modules) > 20
    long = {p.name: n for p in root.rglob("*.py") if (n := len(p.read_text(encoding="utf-8").splitlines())) > 450}
    assert long == {}
