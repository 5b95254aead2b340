"""``memberwise generate`` and the file on disk, with the default model: what is not the body stays as it was."""

from __future__ import annotations

import codecs
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from generation import service
from generation.cli.main import main
from tests.decoding.scripted import ScriptedModel

COMMAND = [sys.executable, "-m", "generation.cli.main", "generate"]
ROOT = Path(__file__).parents[2]
ABOVE = "class Basket:\n    '''é'''\n    def __init__(self) -> None:\n        self.prices: list[int] = []\n\n"
TOTAL = ABOVE + "    def total(self) -> int:\n        '''The sum of all prices.'''\n"
LATIN = b"# coding: latin-1\r\n" + TOTAL.encode("latin-1").replace(b"\n", b"\r\n")


@pytest.mark.model
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (LATIN, b"\r\nx = 1 \t\r\n"),
        (codecs.BOM_UTF8 + TOTAL.encode(), b"\n\n\x0c\nx = 1"),
        ((ABOVE + "    def total(self) -> int:").encode(), b""),
    ],
)
def test_write_changes_the_body_and_nothing_else(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = tmp_path / "shop.py"
    old_body = b"" if before.endswith(b"\n") else b" ..."
    path.write_bytes(before + old_body + after)
    path.chmod(0o640)
    assert main(["generate", f"{path}::Basket.total", "--write", "--max-tokens", "32"]) == 0
    written = path.read_bytes()
    assert written.startswith(before)
    assert written.endswith(after)
    body = written[len(before) : len(written) - len(after)]
    assert body.strip() not in {b"", b"..."}  # what the model says there differs between processors
    assert body.count(b"\n") == body.count(b"\r\n") or b"\r" not in before + body
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.model
def test_the_diff_applies_and_the_file_stays(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    path = tmp_path / "shop.py"
    path.write_bytes(LATIN)
    assert main(["generate", f"{path}::Basket.total", "--diff", "--explain", "--max-tokens", "32"]) == 0
    printed = capsysbinary.readouterr()
    assert path.read_bytes() == LATIN
    assert printed.out.startswith(b"--- a/shop.py\n+++ b/shop.py\n")
    assert b"receiver" in printed.err
    subprocess.run(["git", "apply", "-"], input=printed.out, cwd=tmp_path, check=True, timeout=30)
    assert path.read_bytes().startswith(LATIN)
    assert path.read_bytes()[len(LATIN) :].strip()


@pytest.mark.model
def test_the_text_is_streamed_without_escape_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shop.py"
    path.write_text(TOTAL, encoding="utf-8")
    assert main(["generate", f"{path}::Basket.total", "--max-tokens", "32"]) == 0
    printed = capsys.readouterr().out
    streamed, _, diff = printed.partition("--- a/shop.py\n")
    assert streamed.strip()
    assert f"+{streamed.splitlines()[0]}" in diff
    assert "\x1b" not in printed


def interrupted(folder: Path, seed: int) -> tuple[int, str]:
    """Exit code and stderr of a generation that gets a signal when its first text comes."""
    arguments = ["shop.py::Basket.total", "--write", "--trigger", "off", "--temperature", "2", "--max-tokens", "2000"]
    process = subprocess.Popen(
        [*COMMAND, *arguments, "--seed", str(seed)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    if process.stdout.read(1):
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors.decode()


@pytest.mark.model
def test_an_interruption_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "shop.py"
    for seed in range(12):  # a short text, or one that is worth nothing, may be done before the signal comes
        path.write_text(TOTAL, encoding="utf-8")
        code, errors = interrupted(tmp_path, seed)
        if code == 130:
            break
    assert code == 130
    assert errors.endswith("memberwise: interrupted\n")
    assert path.read_text(encoding="utf-8") == TOTAL
    assert [entry.name for entry in tmp_path.iterdir()] == ["shop.py"]


@pytest.mark.model
def test_a_syntax_error_elsewhere_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shop.py"
    path.write_text("import = 3\n" + TOTAL, encoding="utf-8")
    assert main(["generate", f"{path}::Basket.total", "--write", "--max-tokens", "32"]) == 0
    assert "memberwise: warning: line 1 has a syntax error" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8").startswith("import = 3\n" + TOTAL)


def stub_for(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with ``Basket.total``, for which every prompt is answered with this text."""

    def preferences(prompt: str) -> dict[str, float]:
        written = prompt.rpartition(TOTAL.splitlines()[-1] + "\n")[2]
        return {text[len(written) :][:1] if text.startswith(written) else "": 1.0}

    monkeypatch.setattr(service, "load_model", lambda config: ScriptedModel(preferences))
    path = folder / "shop.py"
    path.write_text(TOTAL, encoding="utf-8")
    return path


def test_a_body_that_would_break_the_file_is_shown_and_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stub_for("        nonlocal nobody\n        return 1\n", tmp_path, monkeypatch)
    assert main(["generate", f"{path}::Basket.total", "--write", "--trigger", "off"]) == 1
    printed = capsys.readouterr()
    assert "+        nonlocal nobody\n" in printed.out
    assert "no binding for nonlocal 'nobody' found (syntax)" in printed.out
    why = "the body would break the file: no binding for nonlocal 'nobody' found"
    assert printed.err == f"memberwise: {path} is unchanged: {why}\n"
    assert path.read_text(encoding="utf-8") == TOTAL


def test_text_that_was_shown_and_is_no_body_is_called_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stub_for("        return self.prices\n", tmp_path, monkeypatch)
    assert main(["generate", f"{path}::Basket.total", "--trigger", "off", "--max-tokens", "3"]) == 1
    assert "nothing of this is a body: no statement came to its end" in capsys.readouterr().out


def test_a_read_only_file_is_refused_before_anything_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "shop.py"
    path.write_text(TOTAL, encoding="utf-8")
    path.chmod(0o444)
    assert main(["generate", f"{path}::Basket.total", "--write", "--model", "no-such-model"]) == 2
    assert "is read-only" in capsys.readouterr().err
