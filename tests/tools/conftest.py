"""The small repository of ``client_repository``, and a tool for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from generation.tools.jedi_tool import JediTool
from tests.tools.client_repository import PATIENT, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path)


@pytest.fixture
def tool(root: Path) -> Iterator[JediTool]:
    tool = JediTool(root, PATIENT)
    yield tool
    tool.close()
