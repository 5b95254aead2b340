from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from generation import models, service
from generation.cli import evaluate
from generation.errors import ConfigError
from tests.decoding.scripted import ScriptedModel

TINY = Path(__file__).parents[2] / "benchmark_repos" / "tiny"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMBERWISE_CACHE", str(tmp_path / "cache"))


def writes_pass(text: str) -> dict[str, float]:
    """A ``pass`` below the last line of the prompt, then the end."""
    above, _, written = text.rpartition("\n")
    last = above.rpartition("\n")[2]
    line = last[: len(last) - len(last.lstrip())] + "pass\n"
    return {"" if last.strip() == "pass" else line[len(written) :][:1]: 1.0}


def memberwise(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    evaluate.add_parser(parser.add_subparsers())
    args = parser.parse_args(["eval", *arguments])
    return int(args.run(args))


def test_a_report_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(service, "load_model", lambda config: ScriptedModel(writes_pass))
    monkeypatch.setattr(models, "resolve", lambda name: tmp_path)
    out = tmp_path / "out"
    assert memberwise("--repos", str(TINY), "--tasks", "2", "--config", "off", "--out", str(out)) == 0
    report = json.loads((out / "report.json").read_text())
    assert list(report["configs"]) == ["off", "true"]
    assert report["configs"]["off"]["empty_share"]["value"] == 1.0
    assert report["configs"]["true"]["svr"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert report["about"]["tasks"] == 2
    assert len((out / "records.jsonl").read_text().splitlines()) == 2
    assert len((out / "results.jsonl").read_text().splitlines()) == 4
    printed = capsys.readouterr()
    assert printed.out.strip() == (out / "report.md").read_text().strip()
    assert "generated 2/2" in printed.err
    assert "judged 6/6" in printed.err


@pytest.mark.parametrize("config", ["never", "off,never", ","])
def test_a_wrong_configuration_is_refused(tmp_path: Path, config: str) -> None:
    with pytest.raises(ConfigError, match="there are off, dot"):
        memberwise("--repos", str(TINY), "--config", config, "--out", str(tmp_path))


@pytest.mark.parametrize("tasks", ["0", "-3"])
def test_no_tasks_at_all_are_refused(tmp_path: Path, tasks: str) -> None:
    with pytest.raises(ConfigError, match=f"--tasks {tasks} is out of range; it must be from 1 to "):
        memberwise("--repos", str(TINY), "--tasks", tasks, "--out", str(tmp_path))


def test_what_is_missing_is_said_before_anything_is_generated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the list of repositories"):
        memberwise("--repos", str(TINY), "--tests-from", "nofile", "--execute", "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_folder_for_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "resolve", lambda name: tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file is a file; name a folder for the records"):
        memberwise("--repos", str(TINY), "--tasks", "1", "--config", "off", "--out", str(tmp_path / "file"))


def test_a_repository_without_tasks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    with pytest.raises(ConfigError, match="no documented function"):
        memberwise("--repos", str(tmp_path / "repo"), "--out", str(tmp_path / "out"))
