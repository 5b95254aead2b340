from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from generation.cli import bench
from generation.errors import ConfigError

TINY = Path(__file__).parents[2] / "benchmark_repos" / "tiny"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMBERWISE_CACHE", str(tmp_path / "cache"))


def memberwise(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    bench.add_parser(parser.add_subparsers())
    args = parser.parse_args(["bench", *arguments])
    return int(args.run(args))


def test_the_numbers_are_written_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "tool.json"
    assert memberwise("tool", "--repos", str(TINY), "--per-repo", "12", "--json", str(out)) == 0
    report = json.loads(out.read_text())
    wanted = "attribute_recall name_recall wrong_list_share p50_ms p95_ms max_ms cache_hit_rate"
    for numbers in (report["pooled"], report["repos"]["tiny"], report["pooled"]["without_index"]):
        assert set(wanted.split()) <= set(numbers)
    assert report["pooled"]["attributes"] + report["pooled"]["names"] == 12
    printed = capsys.readouterr()
    assert "pooled, no index" in printed.out
    assert "1/1 tiny: 12 positions" in printed.err


def test_a_wrong_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="--per-repo is 0"):
        memberwise("tool", "--repos", str(TINY), "--per-repo", "0")


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        ("batch", "--together", "2,1"),
        ("batch", "--workers", "0"),
        ("long", "--lengths", "0"),
        ("decode", "--threads", "0"),
    ],
)
def test_numbers_out_of_range_are_refused(command: str, option: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{option} [01] is out of range"):
        memberwise(command, "--repos", str(TINY), "--only", "tiny", option, value)


def test_what_is_no_number_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        memberwise("long", "--repos", str(TINY), "--lengths", "7800,long")
    assert "argument --lengths: invalid list of int value: '7800,long'" in capsys.readouterr().err


def test_a_missing_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the list"):
        memberwise("tool", "--repos", str(tmp_path / "none.txt"))


def test_only_names_of_the_list(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"one==1 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(ConfigError, match="no repository called two; there are one"):
        memberwise("tool", "--repos", str(listed), "--only", "two")
