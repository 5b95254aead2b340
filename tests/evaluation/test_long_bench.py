from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from generation.cli import bench
from generation.config import GeneratorConfig, Selection
from generation.evaluation.long_bench import Row, make_task, measure, ratios
from generation.service import load_model

TINY = Path(__file__).parents[2] / "benchmark_repos" / "tiny"


def encode(text: str) -> list[int]:
    return list(text.encode())


@pytest.mark.parametrize("number", [0, 1, 2])
def test_definitions_lie_at_their_depths_and_can_be_asked_for(number: int) -> None:
    task = make_task(encode, TINY, 3000, number, 3)
    prompt = bytes(task.prompt).decode(errors="replace")
    assert len(task.prompt) == 3000
    assert len(task.questions) == 3
    for place, question in enumerate(task.questions):
        name = bytes(question.token_ids).decode().split("assert ")[1].split("(")[0]
        start = prompt.index(f'def {name}():\n    return "{bytes(question.value).decode()}"')
        assert abs(start / 3000 - (place + 0.5) / 3) < 0.05
    assert len(task.following) == 48


def test_ratios_compare_with_everything() -> None:
    rows = [Row("everything", 10, 2, 0.5, 2.0, 1.0, 30.0, 1.0), Row("chosen", 10, 2, 0.25, 2.5, 1.25, 10.0, 1.0)]
    assert ratios([*rows, Row("chosen", 20, 2, 1.0, 1.0, 1.0, 1.0, 1.0)]) == {
        "step_10": 3.0, "loss_10": 0.25, "value_loss_10": 0.5, "recall_10": 0.5,
    }  # fmt: skip


@pytest.mark.model
@pytest.mark.timeout(600)
def test_the_command_measures_all_readers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "long.json"
    parser = argparse.ArgumentParser()
    bench.add_parser(parser.add_subparsers())
    words = ["bench", "long", "--repos", str(TINY), "--lengths", "2800", "--needles", "1", "--json", str(out)]
    args = parser.parse_args(words)
    assert args.run(args) == 0
    rows = json.loads(out.read_text())["rows"]
    assert [row["reader"] for row in rows] == ["everything", "chosen", "cut"]
    assert all(0 < row["loss"] < 8 for row in rows)
    assert "step ms" in capsys.readouterr().out


@pytest.mark.model
def test_a_row_is_over_all_repositories() -> None:
    model, told = load_model(GeneratorConfig(dtype="int8", selection=Selection.OFF)), list[str]()
    (row,) = measure({"everything": model}, [TINY, TINY.parent], [600], 5, told.append)
    assert row.needles == 10
    assert told == [
        f"600 tokens of {name}, prompt {number}: everything"
        for name in ("tiny", "benchmark_repos")
        for number in (1, 2)
    ]
