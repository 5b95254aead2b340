"""Reading and writing source files: what is not touched comes back byte for byte."""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.errors import TargetError
from generation.source.files import LIMIT_BYTES, dominant_newline, read_source, require_writable, write_source


@pytest.mark.parametrize(
    ("content", "text", "encoding", "newline"),
    [
        (b"", "", "utf-8", "\n"),
        (b"x = 1\n", "x = 1\n", "utf-8", "\n"),
        (b"x = 1\r\ny = 2\r\n", "x = 1\r\ny = 2\r\n", "utf-8", "\r\n"),
        (b"a\r\nb\r\nc\n\r", "a\r\nb\r\nc\n\r", "utf-8", "\r\n"),
        (codecs.BOM_UTF8 + "é\n".encode(), "é\n", "utf-8-sig", "\n"),
        (b"# -*- coding: latin-1 -*-\n\xe9\n", "# -*- coding: latin-1 -*-\né\n", "iso-8859-1", "\n"),
        (b"#!/bin/python\n# vim: set fileencoding=cp1252 :\n\x80\n", None, "cp1252", "\n"),
    ],
)
def test_round_trip(tmp_path: Path, content: bytes, text: str | None, encoding: str, newline: str) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(content)
    file = read_source(path)
    assert (file.encoding, file.newline) == (encoding, newline)
    assert text is None or file.text == text
    write_source(file, file.text + "z = 'é'\n")
    assert path.read_bytes() == content + "z = 'é'\n".encode(encoding.removesuffix("-sig"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.py"]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff")), st.booleans())
def test_any_text_round_trips(tmp_path_factory: pytest.TempPathFactory, text: str, bom: bool) -> None:
    path = tmp_path_factory.getbasetemp() / "property.py"
    content = codecs.BOM_UTF8 * bom + ("# coding: utf-8\n" + text).encode()
    path.write_bytes(content)
    file = read_source(path)
    write_source(file, file.text[:-1])
    write_source(read_source(path), file.text)
    assert path.read_bytes() == content
    assert file.bom is bom


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x = '\xe9'\n", r"cannot be decoded: invalid or missing encoding declaration; save it as UTF-8, or declare"),
        (b"\n\n\n\nx = '\xe9'\n", r"is not utf-8: byte 0xe9 at 9; save it as UTF-8, or declare"),
        (b"\x7fELF\0\0", "is binary: it holds null bytes"),
        ("x = 1\n".encode("utf-16"), "is binary"),
        (b"# coding: klingon\n", "unknown encoding: klingon"),
        (b"# coding: hex\n", "cannot be decoded"),
        (codecs.BOM_UTF8 + b"# coding: latin-1\n", "cannot be decoded"),
        (b"# coding: utf-7\nx = '+AGE-'\n", "does not survive decoding and encoding"),
        (b"x" * (LIMIT_BYTES + 1), "is too large: 2,000,001 bytes, the limit is 2,000,000"),
    ],
)
def test_what_is_no_source(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(content)
    with pytest.raises(TargetError, match=message):
        read_source(path)


def test_a_missing_file_offers_near_names(tmp_path: Path) -> None:
    (tmp_path / "sessions.py").touch()
    with pytest.raises(TargetError, match=r"there is no file .*session.py; did you mean .*sessions.py\?"):
        read_source(tmp_path / "session.py")
    with pytest.raises(TargetError, match=r"there is no folder .*nowhere"):
        read_source(tmp_path / "nowhere" / "a.py")


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="is a directory; name a Python file in it"):
        read_source(tmp_path)
    with pytest.raises(TargetError, match="cannot be read: Not a directory"):
        read_source(Path(__file__) / "a.py")
    circle = tmp_path / "circle.py"
    circle.symlink_to(circle)
    with pytest.raises(TargetError, match="cannot be read"):
        read_source(circle)
    os.mkfifo(tmp_path / "pipe.py")
    with pytest.raises(TargetError, match="is not a regular file"):
        read_source(tmp_path / "pipe.py")


def test_writing_keeps_mode_and_symbolic_links(tmp_path: Path) -> None:
    real, link = tmp_path / "real.py", tmp_path / "link.py"
    real.write_text("x = 1\n")
    real.chmod(0o750)
    link.symlink_to("real.py")
    write_source(read_source(link), "x = 2\n")
    assert link.is_symlink()
    assert real.read_text() == "x = 2\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o750


def test_read_only(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")
    path.chmod(0o444)
    file = read_source(path)
    for refused in (lambda: require_writable(file), lambda: write_source(file, "x = 2\n")):
        with pytest.raises(TargetError, match="is read-only; nothing was written"):
            refused()
    assert path.read_text() == "x = 1\n"


def test_someone_else_wrote_in_between(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")
    file = read_source(path)
    path.write_text("x = 3\n")
    with pytest.raises(TargetError, match="changed in the meantime"):
        write_source(file, "x = 2\n")
    path.unlink()
    with pytest.raises(TargetError, match="cannot be written"):
        write_source(file, "x = 2\n")


def test_what_the_encoding_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"# coding: latin-1\n")
    with pytest.raises(TargetError, match=r"is encoded as iso-8859-1, which cannot hold '漢'"):
        write_source(read_source(path), "# coding: latin-1\nx = '漢'\n")
    assert path.read_bytes() == b"# coding: latin-1\n"


def test_an_interruption_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")
    file = read_source(path)

    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_source(file, "x = 2\n")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.py"]
    assert path.read_text() == "x = 1\n"


def test_dominant_newline() -> None:
    assert [dominant_newline(text) for text in ("", "a\n", "a\r\nb\r\nc\n", "a\rb\rc\n")] == ["\n", "\n", "\r\n", "\r"]
