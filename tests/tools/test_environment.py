"""Which interpreter is chosen, and that nothing of an untrusted repository runs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from generation.config import ToolConfig
from generation.tools.environment import discover
from generation.tools.jedi_tool import JediTool
from generation.types import NameKind, ToolQuery

pytestmark = pytest.mark.skipif(os.name == "nt", reason="interpreters are shell scripts here")


def interpreter(path: Path, *, leaves: Path | None = None, works: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    trace = f"touch '{leaves}'\n" if leaves else ""
    path.write_text(f"#!/bin/sh\n{trace}" + (f"exec '{sys.executable}' \"$@\"\n" if works else "exit 3\n"))
    path.chmod(0o755)
    return path


def test_order(tmp_path: Path) -> None:
    setting = interpreter(tmp_path / "s/python")
    variable = interpreter(tmp_path / "v/bin/python")
    local = interpreter(tmp_path / "repo/.venv/bin/python")
    root, environ = tmp_path / "repo", {"VIRTUAL_ENV": str(tmp_path / "v")}
    assert discover(root, ToolConfig(python=setting), environ).python == setting
    assert discover(root, ToolConfig(), environ).python == variable
    assert discover(root, ToolConfig(), {}).python == local
    assert discover(tmp_path, ToolConfig(), {}).python is None


def test_environment_folder_as_setting(tmp_path: Path) -> None:
    python = interpreter(tmp_path / "env/bin/python")
    assert discover(tmp_path, ToolConfig(python=tmp_path / "env"), {}).python == python


def test_own_interpreter_needs_no_other_process(tmp_path: Path) -> None:
    assert discover(tmp_path, ToolConfig(python=Path(sys.executable)), {}).python is None


@pytest.mark.parametrize("kind", ["missing", "broken", "not executable"])
def test_bad_path_is_one_warning(tmp_path: Path, kind: str) -> None:
    python = tmp_path / "bad/python"
    if kind != "missing":
        interpreter(python, works=False)
    if kind == "not executable":
        python.chmod(0o644)
    chosen = discover(tmp_path, ToolConfig(python=python), {})
    assert chosen.python is None
    assert len(chosen.warnings) == 1
    assert str(python) in chosen.warnings[0]


def test_untrusted_runs_nothing_of_the_repository(tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    root = tmp_path / "repo"
    python = interpreter(root / ".venv/bin/python", leaves=trace)
    (root / ".jedi").mkdir()
    project = {"path": str(root), "environment_path": str(python), "load_unsafe_extensions": True}
    (root / ".jedi/project.json").write_text(json.dumps([1, project]))
    (root / "sitecustomize.py").write_text(f"open({str(trace)!r}, 'w')\n")
    (root / "jedi.py").write_text(f"open({str(trace)!r}, 'w')\n")
    config = ToolConfig(trusted=False, python=python, deadline_s=20.0)
    tool = JediTool(root, config)
    try:
        answer = tool.suggest(ToolQuery(root, root / "a.py", "import json\njson.", "\n", NameKind.ATTRIBUTE))
    finally:
        tool.close()
    assert "dumps" in {suggestion.name for suggestion in answer.suggestions}
    assert not trace.exists()
    # The trace does show up where the user trusts the workspace.
    assert discover(root, ToolConfig(), {}).python == python
    assert trace.exists()


def test_another_interpreter_answers(tmp_path: Path) -> None:
    python = interpreter(tmp_path / "other/bin/python")
    tool = JediTool(tmp_path, ToolConfig(python=python, deadline_s=30.0))
    try:
        answer = tool.suggest(ToolQuery(tmp_path, Path("a.py"), "import math\nmath.", "\n", NameKind.ATTRIBUTE))
    finally:
        tool.close()
    assert tool.environment.python == python
    assert "sqrt" in {suggestion.name for suggestion in answer.suggestions}
