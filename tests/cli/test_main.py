"""``memberwise``: exit codes, and what an error looks like."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from generation import __version__
from generation.cli import doctor
from generation.cli.main import main

MAIN = [sys.executable, "-m", "generation.cli.main"]
ROOT = Path(__file__).parents[2]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"memberwise {__version__}\n"


def test_help_names_the_commands_without_loading_what_is_heavy() -> None:
    code = (
        "import sys\nfrom generation.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print('heavy:', {'torch', 'transformers', 'jedi', 'pylint'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    for command in ("generate", "model", "doctor", "bench", "eval"):
        assert f"  {command} " in done.stdout
    assert done.stdout.endswith("heavy: set()\n")


def test_an_error_is_one_line_and_code_2(tmp_path: Path) -> None:
    command = [*MAIN, "generate", f"{tmp_path / 'no.py'}::f"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"memberwise: error: there is no file {tmp_path / 'no.py'}\n"


def test_an_unknown_command_is_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["sing"])
    assert left.value.code == 2
    assert "invalid choice: 'sing'" in capsys.readouterr().err


def test_an_interruption_is_code_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "_check_packages", interrupted)
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err == "memberwise: interrupted\n"


@pytest.mark.parametrize("words", [["model", "list"], ["adapter", "list"]])
def test_a_reader_that_leaves_is_no_error(tmp_path: Path, words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    environment = os.environ | {"MEMBERWISE_CACHE": str(tmp_path)}
    command = [*MAIN, *words]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("where", "message"), [("/dev/full", "No space left on device"), ("&-", "the output is closed; send it somewhere")]
)
def test_output_that_cannot_be_written_is_an_error(tmp_path: Path, where: str, message: str) -> None:
    environment = os.environ | {"MEMBERWISE_CACHE": str(tmp_path)}
    command = f"{shlex.join([*MAIN, 'model', 'list'])} >{where}"
    done = subprocess.run(
        ["sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("memberwise: error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


_UNUSABLE = [("~nobody-here/x", "MEMBERWISE_CACHE is ~nobody-here/x")]
if sys.version_info < (3, 14):  # from then on a folder with such a name is one that is not there
    _UNUSABLE.append((300 * "a", "File name too long"))


@pytest.mark.parametrize(("cache", "message"), _UNUSABLE)
def test_a_cache_that_cannot_be(
    cache: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEMBERWISE_CACHE", cache)
    assert main(["model", "list"]) == 2
    assert message in capsys.readouterr().err


def test_a_command_that_wants_what_is_not_installed_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "generation.training.measures", None)  # so that it is imported anew
    assert main(["adapter", "measure", "plain", "--data", str(tmp_path)]) == 2
    assert "it comes with: pip install 'memberwise[all]'" in capsys.readouterr().err


def test_doctor_without_a_model_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEMBERWISE_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "missing: the default model; memberwise model pull default\n" in printed
    assert "Jedi works; the first question took " in printed
