"""The tests of a repository: in its wheel, or in its source distribution, from which only they are taken.

Knows nothing of what is tested. Start reading at ``add_tests``.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from generation.errors import ConfigError
from generation.evaluation.repositories import PinnedRepository, default_folder
from generation.evaluation.sources import python_files

_DOWNLOAD_TIMEOUT_S = 600.0


def fetch_tests(sources: Mapping[str, PinnedRepository]) -> dict[str, Path]:
    """Folders with the tests of source distributions, by the repository's name; each is fetched once.

    pip asks a source distribution's build tool for its metadata, outside the sandbox: list only those you trust.

    Raises:
        ConfigError: no network, a wrong hash, or no tests inside.
    """
    home = default_folder().parent / "tests"
    found = {}
    for name, source in sources.items():
        found[name] = home / source.folder_name
        if not found[name].is_dir():
            _fetch_one(source, found[name])
    return found


def _fetch_one(source: PinnedRepository, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        archive = _download(source, Path(temporary))
        unpacked = Path(temporary) / "unpacked"
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked, filter="data")
        tests = next((path for path in sorted(unpacked.glob("*/tests")) if path.is_dir()), None)
        if tests is None:
            raise ConfigError(f"the source distribution of {source.name} {source.version} has no folder tests")
        tests.rename(folder)


def _download(source: PinnedRepository, folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(source.requirement + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--no-binary=:all:", "--require-hashes", "-r", str(requirements), "-d", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_TIMEOUT_S, check=False)
    archives = list(folder.glob("*.tar.gz"))
    if done.returncode or not archives:
        raise ConfigError(f"cannot fetch the source of {source.name} {source.version}: {done.stderr.strip()[-500:]}")
    return archives[0]


def suite_folders(root: Path) -> list[str]:
    """The outermost folders of a repository that hold tests, as paths below it."""
    files = [path.relative_to(root) for path in python_files(root) if path.name.startswith("test_")]
    folders = sorted({file.parent.as_posix() for file in files})
    return [folder for folder in folders if not any(folder.startswith(f"{other}/") for other in folders)]
