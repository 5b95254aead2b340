"""What the tests of the evaluation share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what Jedi has parsed of the standard library; each run would parse it again."""
    return tmp_path_factory.mktemp("parsed")


def share_parsed(out: Path, parsed: Path) -> Path:
    """The folder of a run, which keeps what Jedi parses in the shared one."""
    (out / "cache").mkdir(parents=True)
    (out / "cache" / "jedi").symlink_to(parsed)
    return out
