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


BESIDE = Path(sys.executable).with_name("nvim")  # comes with the development dependencies where there is a wheel of it
NEOVIM = str(BESIDE) if BESIDE.exists() else shutil.which("nvim")
HAS_WHEEL = platform.system() == "Linux" and platform.machine() == "x86_64"


@pytest.mark.skipif(NEOVIM is None and not HAS_WHEEL, reason="no wheel of Neovim for this platform, and none installed")
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
