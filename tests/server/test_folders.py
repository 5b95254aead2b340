"""Several folders in one workspace, and folders that are not trusted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.server.client import Client, position
from tests.server.conftest import BASKET


def members(client: Client, uri: str, text: str) -> set[str]:
    """What the list offers at the end of a text."""
    client.open(uri, text)
    line = text.count("\n")
    at = position(line, len(text) - text.rfind("\n") - 1)
    found = client.result("textDocument/completion", {"textDocument": {"uri": uri}, "position": at})
    return {item["label"] for item in found["items"]}


def folder(path: Path, **modules: str) -> Path:
    path.mkdir()
    for name, text in modules.items():
        (path / f"{name}.py").write_text(text)
    return path


def change_folders(client: Client, **event: list[Path]) -> None:
    folders = {kind: [{"uri": path.as_uri(), "name": path.name} for path in paths] for kind, paths in event.items()}
    since = len(client.notifications("memberwise/didChangeStatus"))
    client.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": [], **folders}})
    if "added" in event:
        statuses = lambda: client.notifications("memberwise/didChangeStatus")[since:]  # noqa: E731
        client.until(lambda: any(s["kind"] == "ready" for s in statuses()), what="ready")


def test_every_folder_has_its_own_members_and_folders_come_and_go(tmp_path: Path) -> None:
    first = folder(tmp_path / "first", tree="class Tree:\n    leaves = 1\n")
    second = folder(tmp_path / "second", tree="class Tree:\n    roots = 1\n")
    third = folder(tmp_path / "third", tree="class Tree:\n    bark = 1\n")
    asking = "from tree import Tree\nTree."
    with Client() as client:
        client.initialize(first, second, options={"completion": True})
        assert "leaves" in members(client, (first / "new.py").as_uri(), asking)
        assert "roots" in (found := members(client, (second / "new.py").as_uri(), asking))
        assert "leaves" not in found
        assert "roots" in members(client, f"{first.as_uri()}/../second/newer.py", asking)
        assert "bark" not in members(client, (third / "new.py").as_uri(), asking)
        change_folders(client, added=[third], removed=[first])
        assert "bark" in members(client, (third / "new.py").as_uri(), asking)
        assert "leaves" not in members(client, (first / "new.py").as_uri(), asking)


def test_nothing_around_a_file_of_no_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.py").write_text("class Secret:\n    word = 1\n")
    with Client(env={"TMPDIR": str(tmp_path)}) as client:
        client.initialize(options={"completion": True})
        assert "mine" in members(client, "untitled:1", "class Mine:\n    mine = 1\nMine.")
        for asking in ("from ..secret import Secret", "from .secret import Secret", "from secret import Secret"):
            assert "word" not in members(client, (tmp_path / "new.py").as_uri(), f"{asking}\nSecret.")


@pytest.mark.skipif(sys.platform == "win32", reason="the interpreter of the test is a shell script")
@pytest.mark.parametrize("trusted", [True, False])
def test_only_of_a_trusted_folder_the_interpreter_is_run_and_links_out_of_it_are_followed(
    tmp_path: Path, trusted: bool
) -> None:
    root, ran = folder(tmp_path / "shop", basket=BASKET), tmp_path / "ran"
    folder(tmp_path / "outside", secret="class Secret:\n    word = 1\n")
    (root / "linked.py").symlink_to(tmp_path / "outside" / "secret.py")
    binaries = root / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (root / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    interpreter = binaries / "python"
    interpreter.write_text(f"#!/bin/sh\necho ran >> '{ran}'\nexit 1\n")
    interpreter.chmod(0o755)
    options: dict[str, Any] = {"completion": True, "trusted": trusted, "python": None if trusted else str(interpreter)}
    with Client() as client:
        client.initialize(root, options=options)
        found = members(client, (root / "new.py").as_uri(), "from basket import Basket\nBasket.")
        assert {"count", "price_of"} <= found
        found = members(client, (root / "other.py").as_uri(), "from linked import Secret\nSecret.")
        assert ("word" in found) is trusted
    assert ran.exists() is trusted
