from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

import pytest

from generation.errors import ConfigError
from generation.evaluation.repositories import PinnedRepository, fetch, open_repositories, read_manifest, unpack

LISTS = Path(__file__).parents[2] / "benchmark_repos"
FILES = {"pkg/__init__.py": "X = 1\n", "pkg-1.0.data/purelib/pkg/more.py": "Y = 2\n"}


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel in a folder that is the only place pip looks at."""
    links = tmp_path / "links"
    links.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    meta = {
        "pkg-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n",
        "pkg-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    return write_wheel(links / "pkg-1.0-py3-none-any.whl", {**FILES, **meta})


def write_wheel(path: Path, files: dict[str, str]) -> Path:
    rows = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in files.items()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**files, "pkg-1.0.dist-info/RECORD": "\n".join(rows)}.items():
            archive.writestr(name, content)
    return path


def _digest(content: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()


def pinned(wheel: Path) -> PinnedRepository:
    return PinnedRepository("pkg", "1.0", hashlib.sha256(wheel.read_bytes()).hexdigest())


def test_the_pinned_lists_are_read() -> None:
    public, training = read_manifest(LISTS / "eval.txt"), read_manifest(LISTS / "train.txt")
    assert public[3] == PinnedRepository(
        "Flask", "3.1.3", "f4bcbefc124291925f1a26446da31a5178f9483862233b23c0c96a20701f670c"
    )
    assert len(public) == 12
    assert not {each.name.lower() for each in public} & {each.name.lower() for each in training}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("# only this\n\n", "names no repository"),
        (f"a==1 --hash=sha256:{'0' * 64}\nb==1\n", ":2: 'b==1'"),
        (f"a==1 --hash=sha256:{'0' * 63}\n", ":1:"),
        (f"a==1 --hash=sha256:{'0' * 64}\nA==2 --hash=sha256:{'1' * 64}\n", ":2: A is named twice"),
        (f"../a==1 --hash=sha256:{'0' * 64}\n", ":1:"),
    ],
)
def test_a_bad_list_is_refused_with_the_line(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(content)
    with pytest.raises(ConfigError, match=said):
        read_manifest(path)


def test_a_missing_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the list"):
        read_manifest(tmp_path / "none.txt")


def test_a_repository_is_fetched_once(tmp_path: Path, wheel: Path) -> None:
    said: list[str] = []
    roots = fetch([pinned(wheel)], tmp_path / "home", progress=said.append)
    assert (roots["pkg"] / "pkg/__init__.py").read_text() == "X = 1\n"
    assert (roots["pkg"] / "pkg/more.py").read_text() == "Y = 2\n"
    wheel.unlink()
    assert fetch([pinned_again(roots)], tmp_path / "home", progress=said.append) == roots
    assert said == ["fetching pkg 1.0"]
    assert [path.name for path in (tmp_path / "home").iterdir()] == [roots["pkg"].name]


def pinned_again(roots: dict[str, Path]) -> PinnedRepository:
    return PinnedRepository("pkg", "1.0", roots["pkg"].name.rpartition("-")[2].ljust(64, "0"))


def test_a_wrong_hash_leaves_nothing(tmp_path: Path, wheel: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot fetch pkg 1\.0: .*HASH"):
        fetch([PinnedRepository("pkg", "1.0", "0" * 64)], tmp_path / "home")
    assert wheel.exists()
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.parametrize("member", ["../outside.py", "/outside.py", "a/../../outside.py", "a\\..\\..\\outside.py"])
def test_nothing_is_written_outside(tmp_path: Path, member: str) -> None:
    archive = write_wheel(tmp_path / "bad.whl", {member: "X = 1\n"})
    with pytest.raises(ConfigError, match="points outside"):
        unpack(archive, tmp_path / "in" / "folder")
    assert not list(tmp_path.rglob("outside.py"))


def test_a_folder_is_a_repository() -> None:
    assert open_repositories(LISTS / "tiny") == {"tiny": LISTS / "tiny"}
    assert open_repositories(LISTS / "tiny", only=["tiny"]) == {"tiny": LISTS / "tiny"}


@pytest.mark.parametrize("source", [LISTS / "tiny", LISTS / "eval.txt"], ids=["folder", "list"])
def test_a_repository_that_is_not_there_is_named_before_anything_is_fetched(source: Path) -> None:
    with pytest.raises(ConfigError, match="has no repository called nothing; there are"):
        open_repositories(source, lambda _: pytest.fail("something was fetched"), ["nothing"])
