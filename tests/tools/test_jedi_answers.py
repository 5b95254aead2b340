"""Answers of Jedi's process, asked as the tool asks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jedi
import pytest

from generation.config import ToolConfig
from generation.tools.worker_pool import WorkerPool

SOON_S = 60.0
FILE = """
from os import *
import json
if json:
    import io as only
else:
    def only(): ...

class Owner:
    held = 1
    def method(self, given):
        HERE
        made = 2

def later(): ...
del json
"""


def asked(root: Path, kind: str, text: str, config: ToolConfig | None = None) -> dict[str, Any]:
    """The answer of a new process at HERE in a file of the repository."""
    pool = WorkerPool(root, None, config or ToolConfig())
    before = text.partition("HERE")[0]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n") - 1
    question = {"path": str(root / "code.py"), "text": text.replace("HERE", "x_"), "line": line, "column": column}
    try:
        return pool.wait(pool.submit({**question, "kind": kind, "epoch": 0}), SOON_S)
    finally:
        pool.close()


def test_names_of_a_file_are_those_that_an_empty_function_sees(tmp_path: Path) -> None:
    names = [name for name, _ in asked(tmp_path, "file", FILE)["names"]]
    empty = FILE.replace("HERE", "x_").replace("made = 2", "pass").replace("given", "self")
    found = jedi.Script(empty, path=tmp_path / "code.py").complete(12, 8)
    own = {"self", "held", "method"}
    usual = [one.name for one in found if one.type != "keyword" and one.name not in own]
    assert [name for name in names if name[:2] != "__"] == [name for name in usual if name[:2] != "__"]
    assert {"later", "only", "Owner", "path", "print", "__name__"} <= set(names)
    assert not {*own, "made", "given"} & set(names)


def test_a_standard_type_is_listed_once_for_all_processes(tmp_path: Path) -> None:
    root, cache = tmp_path / "repository", tmp_path / "cache"
    root.mkdir()
    config = ToolConfig(cache=cache)
    first = asked(root, "attribute", "def f(a: str):\n    a.HERE\n", config)
    assert ["upper", "function"] in first["names"]
    (kept,) = cache.glob("memberwise-*.jsonl")
    key, (names, facts) = json.loads(kept.read_text())
    kept.write_text(json.dumps([key, [[*names, ["said_before", "function"]], facts]]) + "\n")
    again = asked(root, "attribute", "def g(b: str):\n    b.HERE\n", config)
    assert again["names"] == [*first["names"], ["said_before", "function"]]
    assert again["facts"] == first["facts"]


@pytest.mark.parametrize("text", ["import queue\nqueue.HERE\n", "import queue\nqueue.Queue().HERE\n"])
def test_a_module_that_the_repository_has_too_is_not_taken_for_the_standard_one(text: str, tmp_path: Path) -> None:
    root, cache = tmp_path / "repository", tmp_path / "cache"
    (root / "src").mkdir(parents=True)
    config = ToolConfig(cache=cache)
    assert asked(root, "attribute", text, config)["names"]
    (kept,) = cache.glob("memberwise-*.jsonl")
    before = kept.read_text()
    kept.write_text(
        "\n".join(json.dumps([key, [[], facts]]) for key, (_, facts) in map(json.loads, before.splitlines()))
    )
    assert not asked(root, "attribute", text, config)["names"]
    (root / "src" / "queue.py").write_text("class Queue:\n    own = 1\n")
    assert asked(root, "attribute", text, config)["names"]


def test_what_holds_the_arguments_is_no_usual_dictionary(tmp_path: Path) -> None:
    config = ToolConfig(cache=tmp_path / "cache")
    usual = asked(tmp_path, "attribute", "def f():\n    a = {}\n    a.HERE\n", config)
    starred = asked(tmp_path, "attribute", "def f(**a):\n    a.HERE\n", config)
    assert (usual["facts"]["starred"], starred["facts"]["starred"]) == (False, True)
