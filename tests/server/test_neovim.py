"""A real Neovim: a session of editing in its own client, which nobody here wrote, and what our plugin finds missing."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.client import SCRIPTED
from tests.server.conftest import BASKET

SESSION = Path(__file__).with_name("neovim_session.lua")
HEALTH = Path(__file__).with_name("neovim_health.lua")
PROJECT = Path(__file__).parents[2]

BESIDE = Path(sys.executable).with_name("nvim")  # comes with the development dependencies where there is a wheel of it
NEOVIM = str(BESIDE) if BESIDE.exists() else shutil.which("nvim")
HAS_WHEEL = platform.system() == "Linux" and platform.machine() == "x86_64"


CANNOT_BE = NEOVIM is None and not HAS_WHEEL
needs_neovim = pytest.mark.skipif(CANNOT_BE, reason="no wheel of Neovim for this platform, and none installed")


@needs_neovim
def test_a_session_of_editing(repository: Path) -> None:
    assert NEOVIM, "nvim is missing; `make setup` installs it"
    file = repository / "shop" / "neovim.py"
    file.write_text(BASKET.replace("import json\n", "import os\n") + "    def decoded(self):\n        return js\n")
    server = [sys.executable, "-m", "generation.cli.main", "serve", "--model-from", SCRIPTED]
    done = subprocess.run(
        [NEOVIM, "--headless", "-u", "NONE", "-i", "NONE", "-n", "-l", str(SESSION), str(repository), *server],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        cwd=PROJECT,
    )
    file.unlink()
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["inserted"] == "json.loads(self.count)"
    assert seen["accepted"][-1] == "        return json.loads(self.count)"
    assert seen["accepted"][2:4] == ["import json", "import os"]
    assert "**count** was chosen" in seen["hover"]
    assert seen["applied"]
    assert seen["body"] == "        return self.price_of(self.count)"
    assert seen["undone"]
    assert "ready" in seen["statuses"]
    assert {"begin", "end"} <= {value["kind"] for value in seen["progress"] if "kind" in value}


def health(command: Path, cache: Path) -> str:
    """What ``:checkhealth memberwise`` says where the server's command and the cache of models are these."""
    assert NEOVIM, "nvim is missing; `make setup` installs it"
    return subprocess.run(
        [
            NEOVIM,
            "--headless",
            "-u",
            "NONE",
            "-i",
            "NONE",
            "-l",
            str(HEALTH),
            str(PROJECT / "nvim-client"),
            str(command),
        ],
        env={**os.environ, "MEMBERWISE_CACHE": str(cache)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


@needs_neovim
def test_checkhealth_says_that_there_is_no_model(tmp_path: Path) -> None:
    report = health(Path(sys.executable).with_name("memberwise"), tmp_path)
    assert "WARNING no model is on this machine" in report
    assert "memberwise model pull default" in report


@needs_neovim
def test_checkhealth_says_how_the_server_is_installed(tmp_path: Path) -> None:
    report = health(tmp_path / "memberwise", tmp_path)
    install = "pip install -c constraints.txt -e '.[model,server]'"
    assert f"ERROR {tmp_path / 'memberwise'} does not run" in report
    help_page = (PROJECT / "nvim-client" / "doc" / "memberwise.txt").read_text()
    for told in (report, help_page, (PROJECT / "docs" / "editors.md").read_text()):
        assert install in told
