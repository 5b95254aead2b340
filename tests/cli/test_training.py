"""``memberwise corpus``, ``marks``, ``train`` and ``adapter``: what is printed, and the exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from generation import service
from generation.adapters import AdapterManifest
from generation.cli.main import main
from generation.cli.train import sparkline
from generation.config import GeneratorConfig

MANIFEST = AdapterManifest(
    "mark", "default", "0" * 64, 4, 8, False, "e", "e", 5, 1234, measured={"mark_recall": 0.9, "mark_precision": 0.9}
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEMBERWISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def adapter(cache: Path) -> Path:
    folder = cache / "adapters" / "mine"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(MANIFEST.to_json())
    (folder / "adapter.safetensors").write_bytes(b"")
    return folder


@pytest.fixture
def repositories(tmp_path: Path) -> Path:
    home = tmp_path / "repositories"
    for name, value in (("one", "first"), ("two", "second")):
        (home / name).mkdir(parents=True)
        lines = "".join(f"    {value}_{n} = values.pop()\n" for n in range(9))
        (home / name / "code.py").write_text(
            f'"""Code."""\n\n\ndef {value}(values):\n    """Take."""\n{lines}    return {value}_1\n'
        )
    return home


def test_a_corpus_from_folders(repositories: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    build = ["corpus", "build", "--repos", str(repositories), "--data", str(data)]
    assert main([*build, "--validation", "two"]) == 0
    assert capsys.readouterr().out.startswith("2 repositories, 2 files, 2 functions, ")
    assert main([*build, "--validation", "three"]) == 2
    assert "three cannot be held back: there are one, two" in capsys.readouterr().err
    assert main(["marks", "insert", "--repos", str(repositories), "--data", str(data)]) == 0
    assert json.loads(capsys.readouterr().out)["functions"] == 2
    assert main(["marks", "stats", "--data", str(data)]) == 0
    assert json.loads(capsys.readouterr().out)["attribute_marks"] > 0


def test_repositories_of_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "build", "--repos", str(tmp_path)]) == 2
    assert "holds no folders" in capsys.readouterr().err


def test_bad_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--repos", str(tmp_path), "--data", str(tmp_path)]
    assert main(["corpus", "holes", *options, "--shares", "1,2"]) == 2
    assert "--shares needs 3 numbers, and has 2" in capsys.readouterr().err
    assert main(["marks", "insert", *options, "--jobs", "0"]) == 2
    assert "--jobs 0 is out of range; it must be from 1 to " in capsys.readouterr().err
    assert main(["corpus", "holes", *options, "--jobs", "0"]) == 2
    assert "--jobs 0 is out of range" in capsys.readouterr().err
    for option, value in [
        ("--rank", "0"), ("--learning-rate", "nan"), ("--length-tokens", "0"), ("--tokens-per-step", "0"),
        ("--total-tokens", "0"), ("--threads", "-1"),
    ]:  # fmt: skip
        assert main(["train", "--out", str(tmp_path / "x"), option, value]) == 2
        assert f"{option} {value} is out of range" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_statistics_of_nothing_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["marks", "stats", "--data", str(tmp_path)]) == 2
    assert f"there is no {tmp_path / 'marked.jsonl'}; memberwise marks insert makes it" in capsys.readouterr().err


def test_adapters_are_listed_and_described(adapter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapter", "list"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("mine"))
    assert row.split() == ["mine", "default", "yes", "1,234", str(adapter)]
    assert main(["adapter", "info", "mine"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert (described["path"], described["mark_id"]) == (str(adapter), 5)


def test_an_unknown_adapter(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapter", "info", "nonesuch"]) == 2
    assert "no adapter 'nonesuch': there are " in capsys.readouterr().err


def test_an_export_does_not_overwrite(adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapter", "export", "mine", "--out", str(tmp_path)]) == 2
    assert f"{tmp_path} exists; name something that does not" in capsys.readouterr().err
    assert main(["adapter", "export", "mine", "--format", "adapter", "--out", str(tmp_path / "copy")]) == 0
    carry = ["adapter", "carry", "mine", "--from", "mine", "--to", "mine", "--out"]
    assert main([*carry, str(tmp_path)]) == 2
    assert main([*carry, str(tmp_path / "carried")]) == 2
    assert "was not trained from" in capsys.readouterr().err
    assert (tmp_path / "copy" / "manifest.json").read_text() == MANIFEST.to_json()


def test_the_adapter_for_a_trigger(adapter: Path, tmp_path: Path) -> None:
    """What ships is taken where it fits; a model that it was not trained for is used as it is."""
    other = tmp_path / "model"
    other.mkdir()
    (other / "model.safetensors").write_bytes(b"weights")
    (other / "config.json").write_text("{}")
    assert service.adapter_for(GeneratorConfig(), other) is None
    assert service.adapter_for(GeneratorConfig().with_preset("mark"), other) is None
    assert service.adapter_for(GeneratorConfig(adapter="none"), other) is None
    assert service.adapter_for(GeneratorConfig(adapter="mine"), other) == adapter
    assert service.adapter_for(GeneratorConfig(adapter=str(adapter)), other) == adapter
    assert service.usual_preset(str(other)) == "dot"
    assert service.usual_preset(str(other), "mine") == "mark"
    assert service.usual_preset("nonesuch") == "dot"
    (adapter / "manifest.json").write_text(
        replace(MANIFEST, measured={"mark_recall": 0.9, "mark_precision": 0.5}).to_json()
    )
    assert service.usual_preset(str(other), "mine") == "dot"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    script = "import sys; sys.modules['torch'] = None\nfrom generation.cli.main import main\n"
    script += f"sys.exit(main(['train', '--out', {str(tmp_path / 'x')!r}]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "torch is not installed; it comes with: pip install 'memberwise[train]'" in done.stderr


def test_bars() -> None:
    assert sparkline([]) == ""
    assert sparkline([1.0, 1.0]) == "▁▁"
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"
