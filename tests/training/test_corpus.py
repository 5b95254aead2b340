"""What becomes part of a corpus, and what does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from generation.errors import ConfigError
from generation.training.card import write_card
from generation.training.corpus import FileCounts, Split, build_files, digest_of, read_files
from generation.training.functions import build_functions, read_functions
from generation.training.storage import writing

CODE = '''"""A module."""


def {name}(values, limit):
    """Add what is below the limit."""
    total = 0
    for {item} in values:
        if {item} < limit:
            total += {item} * {name_upper}
    return total


{name_upper} = 3
'''


def code(name: str, item: str = "value") -> str:
    return CODE.format(name=name, name_upper=name.upper(), item=item)


def write(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())
    return root


def build(tmp_path: Path, files: dict[str, str], benchmark: dict[str, str] | None = None) -> tuple[FileCounts, Path]:
    root = write(tmp_path / "repo", files)
    excluded = [write(tmp_path / "benchmark", benchmark)] if benchmark else []
    return build_files({"repo": root}, excluded, tmp_path / "corpus", []), tmp_path / "corpus"


def test_only_what_teaches_is_kept(tmp_path: Path) -> None:
    counts, folder = build(
        tmp_path,
        {
            "pkg/good.py": code("alpha"),
            "pkg/broken.py": code("beta") + "def (\n",
            "tests/test_it.py": code("gamma"),
            "pkg/_vendor/thing.py": code("delta"),
            "pkg/made_pb2.py": code("epsilon"),
            "pkg/small.py": "X = 1\n",
            "pkg/table.py": code("zeta") + f"ROWS = {list(range(300))}\n",
            "pkg/binary.py": "\0" * 400,
        },
    )
    assert [file.path for file in read_files(folder)] == ["pkg/good.py"]
    assert counts.left_out["repo"] == {
        "does not parse": 1, "test, vendored or generated": 3, "short": 1, "data": 1, "unreadable": 1,
    }  # fmt: skip


def test_near_copies_are_taken_once_and_nothing_of_the_benchmark(tmp_path: Path) -> None:
    long = "\n\n".join(code(f"step_{letter}") for letter in "abcdefgh")
    other = "\n\n".join(code(f"move_{letter}", "entry") for letter in "abcdefgh")
    counts, folder = build(
        tmp_path,
        {
            "a.py": long,
            "b.py": long.replace("step_h", "step_z"),
            "c.py": other.replace("entry < limit", "limit > entry"),
        },
        benchmark={"x.py": "# comment\n" + other.replace("entry < limit", "limit > entry")},
    )
    assert [file.path for file in read_files(folder)] == ["a.py"]
    assert counts.left_out["repo"] == {"near duplicate": 2}


def test_line_ends_become_those_of_unix(tmp_path: Path) -> None:
    _, folder = build(tmp_path, {"a.py": code("alpha").replace("\n", "\r\n")})
    assert [file.text for file in read_files(folder)] == [code("alpha")]


def test_a_repository_is_in_one_split(tmp_path: Path, corpus: Path) -> None:
    assert {file.repo: file.split for file in read_files(corpus)} == {"shelf": Split.TRAIN, "attic": Split.VALIDATION}
    assert {function.split for function in read_functions(corpus) if function.repo == "attic"} == {Split.VALIDATION}


def test_nothing_left_is_an_error_and_leaves_the_old_corpus(tmp_path: Path) -> None:
    _, folder = build(tmp_path, {"a.py": code("alpha")})
    before = digest_of(folder)
    empty = write(tmp_path / "empty", {"a.py": "X = 1\n"})
    with pytest.raises(ConfigError, match="nothing is left"):
        build_files({"empty": empty}, [], folder, [])
    assert digest_of(folder) == before


def test_a_repository_without_docstrings_has_no_functions(tmp_path: Path) -> None:
    _, folder = build(tmp_path, {"a.py": code("alpha").replace('    """Add what is below the limit."""\n', "")})
    counts = build_functions(folder, [])
    assert (sum(counts.kept.values()), list(read_functions(folder))) == (0, [])


def test_functions_of_the_benchmark_are_left_out(tmp_path: Path) -> None:
    _, folder = build(tmp_path, {"a.py": code("alpha") + code("beta", "entry")})
    counts = build_functions(folder, [write(tmp_path / "benchmark", {"x.py": code("alpha")})])
    assert (dict(counts.kept), dict(counts.duplicates)) == ({"repo": 1}, {"repo": 1})


def test_the_card_counts_and_names_licences(tmp_path: Path) -> None:
    files, folder = build(tmp_path, {"a.py": code("alpha"), "b.py": "X = 1\n"})
    write(tmp_path / "repo", {"repo-1.dist-info/METADATA": "Name: repo\nLicense-Expression: MIT\n\nText\n"})
    text = write_card(folder, {"repo": tmp_path / "repo"}, [], files, build_functions(folder, []))
    card = json.loads((folder / "card.json").read_text())
    assert card["files_left_out"] == {"short": 1}
    assert card["by_repository"]["repo"] == {
        "version": "repo", "licence": "MIT", "files": 1, "characters": len(code("alpha")), "functions": 1,
        "files_left_out": {"short": 1},
    }  # fmt: skip
    assert "| repo | MIT | 1 | 1 |" in text


def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path) -> None:
    """``/dev/full`` is a disk that is full, for any process."""
    path = tmp_path / "files.jsonl"
    path.write_text("old")
    (tmp_path / ".files.jsonl.unfinished").symlink_to("/dev/full")
    with pytest.raises(ConfigError, match="the disk is full; free some space"), writing(path) as out:
        out.write("new" * 10_000)
    assert path.read_text() == "old"
