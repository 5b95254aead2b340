from __future__ import annotations

from pathlib import Path

import pytest

from generation.evaluation.working_copy import working_copy


def test_the_original_is_never_written_to(tmp_path: Path) -> None:
    original = tmp_path / "repo"
    (original / "pkg").mkdir(parents=True)
    file = original / "pkg/a.py"
    file.write_bytes("# -*- coding: latin-1 -*-\r\nx = 'é'\r\n".encode("latin-1"))
    content = file.read_bytes()
    with working_copy(original, tmp_path) as copy:
        before_ns = (copy.root / "pkg/a.py").stat().st_mtime_ns
        with copy.holding({"pkg/a.py": "# -*- coding: latin-1 -*-\nx = 'ä'\n"}):
            assert (copy.root / "pkg/a.py").read_bytes().endswith(b"'\xe4'\n")
            assert file.read_bytes() == content
        assert (copy.root / "pkg/a.py").read_bytes() == content
        assert (copy.root / "pkg/a.py").stat().st_mtime_ns > before_ns
        assert [path.name for path in (copy.root / "pkg").iterdir()] == ["a.py"]
    assert not copy.root.exists()
    assert file.read_bytes() == content


def test_an_error_takes_the_change_back(tmp_path: Path) -> None:
    original = tmp_path / "repo"
    original.mkdir()
    (original / "a.py").write_text("x = 1\n")
    with working_copy(original) as copy:
        with pytest.raises(ZeroDivisionError), copy.holding({"a.py": ""}):
            _ = 1 / 0
        assert (copy.root / "a.py").read_text() == "x = 1\n"
