"""A session of editing in a real Neovim: another client, which nobody here wrote."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.client import SCRIPTED
from tests.server.conftest import BASKET

SESSION = Path(__file__).with_name("neovim_session.lua")


def neovim() -> str:
    """The editor that comes with the development dependencies, or the one of the system."""
    beside = Path(sys.executable).with_name("nvim")
    found = str(beside) if beside.exists() else shutil.which("nvim")
    if found is None:
        if platform.system() == "Linux" and platform.machine() == "x86_64":
            pytest.fail("nvim is missing; `make setup` installs it", pytrace=False)
        pytest.skip("there is no wheel of Neovim for this platform, and none is installed")
    return found


def test_a_session_of_editing(repository: Path) -> None:
    editor = neovim()
    file = repository / "shop" / "neovim.py"
    file.write_text(BASKET.replace("import json\n", "import os\n") + "    def decoded(self):\n        return js\n")
    server = [sys.executable, "-m", "generation.cli.main", "serve", "--model-from", SCRIPTED]
    done = subprocess.run(
        [editor, "--headless", "-u", "NONE", "-i", "NONE", "-n", "-l", str(SESSION), str(repository), *server],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        cwd=Path(__file__).parents[2],
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
