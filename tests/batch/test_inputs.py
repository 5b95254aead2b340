"""Repositories in all the forms that the command line takes."""

from __future__ import annotations

import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from generation.batch.inputs import is_folder, open_inputs
from generation.cli.main import main
from generation.errors import ConfigError

SOURCE = 'def f():\n    """Do it."""\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    (root / "pkg").mkdir(parents=True)
    (root / "pkg" / "mod.py").write_text(SOURCE)
    return root


def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "shop-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pkg/mod.py", SOURCE)
    return path


def sdist(tmp_path: Path, member: str = "shop-1.0/pkg/mod.py") -> Path:
    path = tmp_path / "shop-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo(member)
        entry.size = len(SOURCE)
        archive.addfile(entry, io.BytesIO(SOURCE.encode()))
    return path


def git(folder: Path) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "all"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return f"file://{folder}"


@pytest.mark.parametrize("form", ["folder", "wheel", "sdist", "git"])
def test_every_form_is_a_folder_in_the_end(folder: Path, tmp_path: Path, form: str) -> None:
    names = {"folder": str(folder), "wheel": str(wheel(tmp_path)), "sdist": str(sdist(tmp_path)), "git": git(folder)}
    for _ in range(2):  # what is unpacked is used again
        (root,) = open_inputs([names[form]], tmp_path / "sources").values()
        assert (root / "pkg" / "mod.py").read_text() == SOURCE
    assert is_folder(names[form]) is (form == "folder")
    assert not list(tmp_path.glob("sources/.opening-*"))


@pytest.mark.parametrize("name", ["nothing", "broken.whl", "broken.tar.gz", "file:///nothing/there", "evil.tar.gz"])
def test_what_cannot_be_opened_says_so_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    if name.startswith("broken"):
        (tmp_path / name).write_bytes(b"no archive")
    if name == "evil.tar.gz":
        sdist(tmp_path, "../../outside.py").rename(tmp_path / name)
    with pytest.raises(ConfigError):
        open_inputs([name if "://" in name else str(tmp_path / name)], tmp_path / "sources")
    assert not list(tmp_path.rglob("outside.py"))
    assert not [path for path in tmp_path.glob("sources/*") if path.is_dir()]


def test_two_repositories_of_one_name_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other" / "shop").mkdir(parents=True)
    with pytest.raises(ConfigError, match="two repositories are called shop"):
        open_inputs([str(folder), str(tmp_path / "other" / "shop")], tmp_path / "sources")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--jobs", "0"], "--jobs 0 is out of range; it must be from 1 to 256"),
        (["--limit", "nan"], "--limit nan is out of range"),
        (["--seed", "-1"], "--seed -1 is out of range"),
        (["--max-tokens", "999999"], "--max-tokens 999999 is out of range"),
        (["--threads", "-1"], "--threads -1 is out of range"),
        (["--threads", "1000"], "--threads 1000 is out of range"),
        (["--workers", "2"], "--workers are those of --ray"),
        (["--out", "a.py"], "a.py is a file; name a folder"),
        (["--resume", "--out", "shop"], "shop is a repository that is filled"),
        (["--select", "none.jsonl"], "cannot read the list of functions"),
        (["--out", "."], "is not empty"),
        (["--context-tokens", "7"], "--context-tokens 7 is out of range; it must be from 1024 to 1048576"),
    ],
)
def test_wrong_words_end_with_a_message(
    folder: Path,
    tmp_path: Path,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_text("")
    assert main(["batch", str(folder), "--out", "out", *words]) == 2
    assert message in capsys.readouterr().err


def test_what_was_unpacked_for_a_command_that_is_refused_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["batch", str(wheel(tmp_path)), "--out", str(tmp_path / "out")]
    for _ in range(2):  # the second time it is not said that the folder is not empty
        assert main([*words, "--select", "none.jsonl"]) == 2
        assert "cannot read the list of functions" in capsys.readouterr().err


def test_an_option_that_is_not_spelled_out_is_unknown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["batch", str(folder), "--out", "out", "--wri"])
    assert left.value.code == 2
    assert "unrecognized arguments: --wri" in capsys.readouterr().err


@pytest.mark.model
def test_a_folder_is_filled_and_written(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "pkg" / "mod.py").write_text('def double(number: int) -> int:\n    """Twice the number."""\n    ...\n')
    out = tmp_path / "out"
    assert main(["batch", str(folder), "--out", str(out), "--write", "--max-tokens", "48", "--jobs", "2"]) == 0
    told = capsys.readouterr()
    assert "1 of 1 filled" in told.out
    assert "warning" not in told.err
    written = (folder / "pkg" / "mod.py").read_text()
    assert "..." not in written
    compile(written, "mod.py", "exec")
    assert "double" in (out / "summary.html").read_text()
