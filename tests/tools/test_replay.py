"""A record answers as the tool did."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from generation.errors import ToolError
from generation.tools.replay import RecordingTool, ReplayTool, query_hash
from generation.types import ImportNeeded, NameKind, Suggestion, SuggestionSource, ToolAnswer, ToolQuery

QUERY = ToolQuery(Path("/r"), Path("/r/pkg/a.py"), "x.", "\n", NameKind.ATTRIBUTE)
IMPORTED = Suggestion("Path", "class", SuggestionSource.IMPORT, ImportNeeded("pathlib", "Path"))
ANSWER = ToolAnswer((Suggestion("a", "function"), IMPORTED), True, "x", {"Path": IMPORTED}, 1.5, True)


class FixedTool:
    """Answers everything alike and counts."""

    def __init__(self) -> None:
        self.asked = self.prefetched = self.closed = 0

    def suggest(self, query: ToolQuery) -> ToolAnswer:
        self.asked += 1
        return ANSWER

    def prefetch(self, query: ToolQuery) -> None:
        self.prefetched += 1

    def close(self) -> None:
        self.closed += 1


def test_round_trip(tmp_path: Path) -> None:
    inner = FixedTool()
    recording = RecordingTool(inner, tmp_path / "record.jsonl")
    recording.prefetch(QUERY)
    assert recording.suggest(QUERY) == ANSWER
    recording.close()
    assert (inner.asked, inner.prefetched, inner.closed) == (1, 1, 1)
    replay = ReplayTool(tmp_path / "record.jsonl")
    assert replay.suggest(QUERY) == ANSWER
    assert replay.suggest(replace(QUERY, before="y.")).error == "not recorded"


def test_hash_does_not_depend_on_where_the_repository_lies() -> None:
    elsewhere = replace(QUERY, root=Path("/other"), path=Path("/other/pkg/a.py"))
    assert query_hash(elsewhere) == query_hash(QUERY)
    assert query_hash(replace(QUERY, before="x.\n", after="")) != query_hash(QUERY)


@pytest.mark.parametrize("content", [None, "{", "[]\n", '{"query": "a"}\n'])
def test_bad_record(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "record.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ToolError, match="RecordingTool"):
        ReplayTool(path)
