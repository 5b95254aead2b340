from __future__ import annotations

import json
from pathlib import Path

import pytest

from generation.cli.main import main
from generation.evaluation.cursor_bench import cursors

TINY = Path(__file__).parents[2] / "benchmark_repos" / "tiny"


def test_cursors_stand_inside_of_names() -> None:
    found = list(cursors(TINY, "tiny", 8, 0))
    assert len(found) == 8
    assert found == list(cursors(TINY, "tiny", 8, 0))
    text = "".join(path.read_text() for path in sorted(TINY.rglob("*.py")))
    for cursor in found:
        assert cursor.name.startswith(cursor.prefix)
        assert 0 < len(cursor.prefix) < len(cursor.name)
        assert cursor.before.rpartition("\n")[2] + cursor.name in text


@pytest.mark.model
@pytest.mark.timeout(600)
def test_three_ways_to_begin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "cursors.json"
    assert (
        main(["bench", "cursors", "--repos", str(TINY), "--per-repo", "4", "--threads", "1", "--json", str(out)]) == 0
    )
    rows = json.loads(out.read_text())
    assert [row["start"] for row in rows] == ["cut", "healed", "exact"]
    assert all(row["cursors"] == 4 and 0 <= row["right"] <= 1 for row in rows)
    assert "exact" in capsys.readouterr().out
