"""Trigger insertion: which names get a mark, whether asking at every token would say the same, and killed runs."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from generation.config import ToolConfig
from generation.evaluation.bare_python import bare_python
from generation.evaluation.places import Places
from generation.evaluation.positions import positions
from generation.evaluation.tasks import functions_of, tasks_of
from generation.marks.insertion import pieces
from generation.tools.jedi_tool import JediTool
from generation.tools.member_index import MemberIndex
from generation.tools.whole_files import WholeFileTool
from generation.training.corpus import CorpusFile, Split, read_files
from generation.training.functions import CorpusFunction
from generation.training.marking import (
    MARKED_NAME,
    MarkedFunction,
    mark_all,
    mark_file,
    plan,
    read_marked,
    statistics,
)
from generation.types import NameKind, ToolQuery

FILES = {
    "pkg/__init__.py": "",
    "pkg/store.py": '''"""A store."""
import os
from pathlib import Path

LIMIT = 3


def helper(value: int) -> int:
    return value


class Base:
    def __init__(self):
        self.size = 1


class Store(Base):
    """Keeps things."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path

    async def load(self, name):
        """Load one.

        It is read from the disk.
        """
        query = """
        select name
        from helper
        """
        self.fresh = helper(LIMIT)
        target = self.path / name
        print(self.fresh, self.size, query.strip(), target.exists())
        return os.path.join(str(self.path), await self.fetch(target))

    async def fetch(self, name):
        """Fetch one."""
        parts = [part.upper() for part in name.parts]
        return self.missing(parts)


class Other:
    """Has a method of the same name and text."""

    def __init__(self):
        self.size = 2

    async def fetch(self, name):
        """Fetch one."""
        parts = [part.upper() for part in name.parts]
        return self.missing(parts)

    def missing(self, parts):
        """Say which."""
        return f"{len(parts)} of {self.size}"
''',
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    for path, text in FILES.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.fixture(scope="module")
def tool(repository: Path) -> Iterator[WholeFileTool]:
    tool = WholeFileTool(repository, ToolConfig(python=bare_python(), deadline_s=20), MemberIndex.build(repository))
    yield tool
    tool.close()


def marked(tool: WholeFileTool, root: Path, path: str, text: str) -> dict[str, MarkedFunction]:
    file = CorpusFile("repo", path, Split.TRAIN, text)
    functions = [
        CorpusFunction("repo", path, Split.TRAIN, task.qualname, task.start, task.end) for task in tasks_of(text, path, "repo", documented=False)
    ]  # fmt: skip
    return {function.qualname: function for function in mark_file(tool, root, file, functions)}


def with_marks(text: str, function: MarkedFunction) -> str:
    return "<>".join(
        pieces(text[function.start : function.end], [offset - function.start for offset in function.marks])
    )


def test_names_of_the_module_and_known_attributes_get_marks(repository: Path, tool: WholeFileTool) -> None:
    text = FILES["pkg/store.py"]
    found = marked(tool, repository, "pkg/store.py", text)
    load = with_marks(text, found["Store.load"])
    assert 'query = """\n        select name\n        from helper\n        """\n' in load  # no mark in a string
    assert "self.fresh =<> helper(<>LIMIT)" in load
    assert "target = self.<>path / name" in load
    assert "print(self.<>fresh, self.<>size, query.<>strip(), target.<>exists())" in load
    assert "return<> os.<>path.<>join(str(self.<>path), await self.<>fetch(target))" in load


def test_methods_of_the_same_text_are_told_apart(repository: Path, tool: WholeFileTool) -> None:
    text = FILES["pkg/store.py"]
    found = marked(tool, repository, "pkg/store.py", text)
    assert "return self.missing(parts)" in with_marks(text, found["Store.fetch"])
    assert "return self.<>missing(parts)" in with_marks(text, found["Other.fetch"])


def test_an_attribute_that_only_the_body_makes_is_known_from_there_on(repository: Path, tool: WholeFileTool) -> None:
    text = '''class Thing:
    """It."""

    def start(self):
        """Start."""
        print(self.made)
        self.made = 1
        return self.made
'''
    start = with_marks(text, marked(tool, repository, "pkg/thing.py", text)["Thing.start"])
    assert "print(self.made)" in start
    assert "return self.<>made" in start


def test_an_answer_that_came_too_late_is_not_kept_for_the_file(repository: Path) -> None:
    text, patient = FILES["pkg/store.py"], ToolConfig(python=bare_python(), deadline_s=20)
    tool = WholeFileTool(repository, replace(patient, deadline_s=0), MemberIndex.build(repository))
    try:
        assert "target.exists()" in with_marks(text, marked(tool, repository, "pkg/store.py", text)["Store.load"])
        tool._config = patient
        assert "target.<>exists()" in with_marks(text, marked(tool, repository, "pkg/store.py", text)["Store.load"])
    finally:
        tool.close()


def test_a_file_that_does_not_parse_has_no_marks(repository: Path, tool: WholeFileTool) -> None:
    file = CorpusFile("repo", "pkg/bad.py", Split.TRAIN, "def f(:\n")
    assert mark_file(tool, repository, file, [CorpusFunction("repo", "pkg/bad.py", Split.TRAIN, "f", 0, 3)]) == []


def test_asking_at_every_token_as_decoding_does_finds_the_same(tmp_path: Path, roots: dict[str, Path]) -> None:
    """On the repository of the tests; docs/training.md has the figure for 300 functions of the corpus."""
    root = roots["shelf"]
    config = ToolConfig(python=bare_python(), deadline_s=20)
    index = MemberIndex.build(root)
    quick, online = WholeFileTool(root, config, index), JediTool(root, config, index=index)
    same = different = 0
    try:
        for path in sorted(root.rglob("*.py")):
            text, relative = path.read_text(), path.relative_to(root).as_posix()
            for function in marked(quick, root, relative, text).values():
                for offset, known in attributes_online(online, root, path, text, function):
                    same, different = (
                        (same + 1, different) if known == (offset in function.attributes) else (same, different + 1)
                    )
    finally:
        quick.close()
        online.close()
    assert same > 60
    assert different <= 0.02 * same


def attributes_online(
    tool: JediTool, root: Path, path: Path, text: str, function: MarkedFunction
) -> Iterator[tuple[int, bool]]:
    tree = ast.parse(text)
    node = next(node for node, site in functions_of(tree, text) if site.body_start == function.start)
    for one in positions(tree, node, (function.start, function.end), Places(text)).asked:
        if one.kind is NameKind.ATTRIBUTE:
            answer = tool.suggest(ToolQuery(root, path, text[: one.offset], text[function.end :], one.kind))
            yield one.offset, one.name in {suggestion.name for suggestion in answer.suggestions}


def test_every_file_comes_back_when_marks_are_taken_out(corpus: Path) -> None:
    texts = {(file.repo, file.path): file.text for file in read_files(corpus)}
    found = read_marked(corpus)
    assert sum(len(function.marks) for functions in found.values() for function in functions) > 100
    for place, functions in found.items():
        offsets = [offset for function in functions for offset in function.marks]
        assert "".join(pieces(texts[place], offsets)) == texts[place]


def test_a_killed_run_goes_on_behind_the_last_whole_line(corpus: Path, roots: dict[str, Path], tmp_path: Path) -> None:
    for name in ("files.jsonl", "functions.jsonl"):
        (tmp_path / name).write_bytes((corpus / name).read_bytes())
    lines = (corpus / MARKED_NAME).read_bytes().splitlines(keepends=True)
    (tmp_path / MARKED_NAME).write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    assert sum(len(chunk.files) for chunk in plan(tmp_path, roots, 0)) == 1
    mark_all(tmp_path, roots, per_repo=0)
    again = sorted(json.loads(line)["path"] for line in (tmp_path / MARKED_NAME).read_bytes().splitlines())
    assert again == sorted(json.loads(line)["path"] for line in lines)
    assert list(plan(tmp_path, roots, 0)) == []


def test_a_share_of_each_repository(corpus: Path, roots: dict[str, Path], tmp_path: Path) -> None:
    for name in ("files.jsonl", "functions.jsonl"):
        (tmp_path / name).write_bytes((corpus / name).read_bytes())
    few = {chunk.repo: chunk.functions for chunk in plan(tmp_path, roots, 2)}
    everything = {chunk.repo: chunk.functions for chunk in plan(tmp_path, roots, 0)}
    assert all(2 <= few[repo] < everything[repo] for repo in ("shelf", "attic"))


def test_statistics() -> None:
    one = MarkedFunction("f", 0, 9, (1, 2), (4,), 4, 1, 10.0)
    assert statistics([one, one]) == {
        "functions": 2, "marks_per_function": 3.0, "attribute_marks": 4, "name_marks": 2, "attribute_ceiling": 0.5,
        "name_ceiling": 1.0, "ms_per_function": 10.0,
    }  # fmt: skip
