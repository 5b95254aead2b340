"""Nobody listens where the model should be: the local model writes, and the user is told, wherever that is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.client import Client

NOBODY = "remote:http://127.0.0.1:9"
TEXT = 'def double(number: int) -> int:\n    """Twice the number."""\n    ...\n'
pytestmark = [pytest.mark.model, pytest.mark.timeout(180)]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "sums.py").write_text(TEXT)
    return tmp_path


def generated(repository: Path, model: str) -> tuple[str, str]:
    command = [sys.executable, "-m", "generation.cli.main", "generate", "sums.py::double", "--repo", ".", "--json"]
    done = subprocess.run([*command, "--model", model], cwd=repository, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["text"], done.stderr


def test_the_command_line_says_so(repository: Path) -> None:
    alone, nothing = generated(repository, "default")
    text, told = generated(repository, NOBODY)
    assert text == alone
    assert nothing == ""
    assert f"the model at {NOBODY.removeprefix('remote:')} cannot be reached" in told
    assert "the local model is used" in told


def test_the_language_server_shows_it(repository: Path) -> None:
    with Client(model=None) as client:
        client.initialize(repository, options={"model": NOBODY})
        (shown,) = client.notifications("window/showMessage")
        assert "cannot be reached" in shown["message"]
        assert client.result("memberwise/status", None)["kind"] == "ready"
