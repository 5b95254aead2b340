"""A real server process with a scripted model, shared by the tests that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.server.client import Client, cursor

BASKET = '''"""A basket."""

import json


class Basket:
    """Knows what is bought."""

    count = 1

    def price_of(self, number: int) -> int:
        """What so many cost."""
        return number * 3

'''
_NUMBERS = count()


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package; the documents of the tests are opened in it without being written."""
    root = tmp_path_factory.mktemp("shop")
    (root / "shop").mkdir()
    (root / "shop" / "__init__.py").write_text("")
    (root / "shop" / "basket.py").write_text(BASKET)
    (root / "shop" / "ledger.py").write_text('class Ledger:\n    """Keeps the books."""\n\n    entries = 3\n')
    return root


@pytest.fixture(scope="session")
def shared(repository: Path) -> Iterator[Client]:
    """A server that is ready; automatic completions start at once."""
    with Client() as client:
        client.initialize(repository, options={"debounceMs": 0})
        yield client


@pytest.fixture
def uri(repository: Path) -> str:
    """A document that no other test uses."""
    return (repository / "shop" / f"file_{next(_NUMBERS)}.py").as_uri()


def place(client: Client, uri: str, marked: str, version: int = 1) -> tuple[int, int]:
    """Open a document with a ``$0`` in it; where that was."""
    text, line, character = cursor(marked)
    client.open(uri, text, version)
    return line, character
