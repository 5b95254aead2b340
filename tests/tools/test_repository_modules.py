"""Which files of a repository are modules, and what these bring to who imports them."""

from __future__ import annotations

from pathlib import Path

import pytest

from generation.tools.member_index import MemberIndex
from generation.tools.repository_files import source_root


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


@pytest.mark.parametrize(
    ("exported", "starred"),
    [
        ("", {"One", "Two"}),
        ("__all__ = ['One']\n", {"One"}),
        ("__all__ = ['One']\n__all__ += ['_three']\n", {"One", "_three"}),
        ("__all__: list[str] = ['_three']\n", {"_three"}),
        ("__all__ = []\n", set()),
        ("__all__ = other.__all__\n", {"One", "Two"}),
        ("__all__ = ['One']\n__all__.extend(['Two'])\n", {"One", "Two"}),
    ],
)
def test_what_a_star_import_brings(tmp_path: Path, exported: str, starred: set[str]) -> None:
    write(tmp_path, "many/parts.py", exported + "class One: ...\nclass Two: ...\nclass _three: ...\n")
    write(tmp_path, "many/__init__.py", "from many.parts import *\n")
    modules = MemberIndex.build(tmp_path).modules
    assert set(modules.exports("many")) == starred


def test_documentation_and_settings_inside_a_package_are_part_of_it(tmp_path: Path) -> None:
    write(tmp_path, "shop/__init__.py", "")
    for folder in ("", "shop/"):
        write(tmp_path, f"{folder}conf.py", "class Settings: ...\n")
        write(tmp_path, f"{folder}docs/writer.py", "class Writer: ...\n")
    write(tmp_path, "shop/docs/__init__.py", "")
    names = {item.module for item in MemberIndex.build(tmp_path).definitions(["Settings", "Writer"])}
    assert names == {"shop.conf", "shop.docs.writer"}


def test_deep_folders_and_long_names(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a"] * 1500)
    assert source_root(tmp_path, deep) == tmp_path
    assert source_root(tmp_path, tmp_path / ("b" * 300)) == tmp_path
