"""A small repository with a client, questions about code in it, and the names of an answer."""

from __future__ import annotations

from pathlib import Path

from generation.config import ToolConfig
from generation.types import NameKind, ToolAnswer, ToolQuery

BODY = "from pkg import wire\nfrom pkg.client import Client\n\n\n"
PATIENT = ToolConfig(deadline_s=30.0)
FILES = {
    "src/pkg/__init__.py": "from .client import Client\n",
    "src/pkg/client.py": (
        "from __future__ import annotations\nfrom pkg import wire\n\n\n"
        "class Client:\n    limit = 3\n\n    def __init__(self) -> None:\n        self.session = wire.Session()\n\n"
        "    def fetch(self, url: str, retries: int = 3) -> wire.Reply:\n        return self.session.send(url)\n"
    ),
    "src/pkg/made.py": "First = 1\nglobals().update(Second=2)\n",
    "src/spread/part.py": "x = 1\n",  # of a namespace, which other folders may have more of
    "src/pkg/wire.py": (
        "from pkg import client  # a cycle\n\n\nclass Reply:\n    status: int\n    body: bytes\n\n\n"
        "class Session:\n    def send(self, url: str) -> Reply:\n        return Reply()\n\n    def shut(self) -> None: ...\n\n\n"
        "class Loose:\n    def __getattr__(self, name: str) -> int:\n        return 1\n    known = 1\n"
    ),
}


def write(root: Path) -> Path:
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def query(root: Path, text: str, path: str = "src/pkg/new.py") -> ToolQuery:
    before, _, after = text.partition("$0")
    kind = NameKind.ATTRIBUTE if before.rstrip().endswith(".") else NameKind.NAME
    return ToolQuery(root, root / path, before, after, kind)


def names(answer: ToolAnswer) -> set[str]:
    assert answer.error is None
    return {suggestion.name for suggestion in answer.suggestions}
