"""The kernels are compiled where a compiler is, once, and their absence is told."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from generation.decoding.llama import native
from generation.decoding.llama.native import Kernels, NoKernels, find_kernels


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    find_kernels.cache_clear()
    yield
    find_kernels.cache_clear()


def test_kernels_are_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "cache_root", lambda: tmp_path)
    monkeypatch.setattr(native, "_FLAGS", (*native._FLAGS, "-O0"))  # this is not about speed
    first = find_kernels("portable")
    assert isinstance(first, Kernels)
    assert first.instructions == "portable"
    (library,) = (tmp_path / "kernels").iterdir()
    written = library.stat().st_mtime_ns
    find_kernels.cache_clear()
    assert isinstance(find_kernels("portable"), Kernels)
    assert library.stat().st_mtime_ns == written


def test_what_a_compiler_made_that_is_gone_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "cache_root", lambda: tmp_path)
    monkeypatch.setattr(native, "_FLAGS", (*native._FLAGS, "-O0"))
    made = find_kernels("portable")
    assert isinstance(made, Kernels)
    find_kernels.cache_clear()
    monkeypatch.setattr(native, "_COMPILERS", ("no-such-compiler",))
    monkeypatch.delenv("CXX", raising=False)
    found = find_kernels("portable")
    assert isinstance(found, Kernels)
    assert found.key == made.key


def test_a_compiler_that_pip_has_installed_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is 100 MB large; here its name stands for the compiler of this machine."""
    (tmp_path / "ziglang.py").write_text(
        "import subprocess, sys\nassert sys.argv[1] == 'c++'\n"
        f"sys.exit(subprocess.call([{shutil.which('c++')!r}, *sys.argv[2:]]))\n"
    )
    monkeypatch.setattr(native, "cache_root", lambda: tmp_path)
    monkeypatch.setattr(native, "_FLAGS", (*native._FLAGS, "-O0"))
    monkeypatch.setattr(native, "_COMPILERS", ("no-such-compiler", "false"))  # one is there in name only
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    made = find_kernels("portable")
    assert isinstance(made, Kernels)
    find_kernels.cache_clear()
    monkeypatch.setattr(native, "_compiled", lambda *_: pytest.fail("nothing has to be compiled again"))
    again = find_kernels("portable")
    assert isinstance(again, Kernels)
    assert again.key == made.key


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "cache_root", lambda: tmp_path)
    monkeypatch.setattr(native, "_COMPILERS", ("no-such-compiler",))
    monkeypatch.delenv("CXX", raising=False)
    found = find_kernels()
    assert isinstance(found, NoKernels)
    assert "no C++ compiler" in found.reason
    assert "pip install ziglang brings one" in found.reason


def test_a_compiler_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "cache_root", lambda: tmp_path)
    monkeypatch.setenv("CXX", "false")
    found = find_kernels()
    assert isinstance(found, NoKernels)
    assert "false failed" in found.reason
    assert "pip install ziglang brings one" in found.reason
    assert list((tmp_path / "kernels").iterdir()) == []


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kernels").write_text("in the way")
    monkeypatch.setattr(native, "cache_root", lambda: tmp_path)
    found = find_kernels()
    assert isinstance(found, NoKernels)
    assert "cannot be used" in found.reason
