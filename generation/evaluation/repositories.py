"""Pinned repositories: a list of wheels with their hashes, fetched once and unpacked into a cache folder.

Knows nothing of what the repositories are used for. Wheels only: building a source distribution would run its code.
Start reading at ``read_manifest`` and ``fetch``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from generation.cache import cache_root
from generation.errors import ConfigError

_PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[\w.!+-]+)\s+--hash=sha256:(?P<sha256>[0-9a-fA-F]{64})"
)
_PLATFORMS = (
    "manylinux_2_28_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux_2_24_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux2014_x86_64",
    "manylinux1_x86_64",
    "any",
)
_DOWNLOAD_TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True)
class PinnedRepository:
    """One wheel that a package index serves, fixed by version and hash."""

    name: str
    version: str
    sha256: str

    @property
    def folder_name(self) -> str:
        """Its folder below the cache; another hash is another repository."""
        return f"{self.name.lower()}-{self.version}-{self.sha256[:8]}"

    @property
    def requirement(self) -> str:
        """The line pip reads."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


def read_manifest(path: Path) -> tuple[PinnedRepository, ...]:
    """The repositories of a list with one ``NAME==VERSION --hash=sha256:HASH`` per line; ``#`` starts a comment.

    Raises:
        ConfigError: the file cannot be read, is empty, names a repository twice, or has a line of another form.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the list of repositories {path}: {error}") from error
    found: dict[str, PinnedRepository] = {}
    for number, line in enumerate(lines, start=1):
        content = re.sub(r"(^|\s)#.*", "", line).strip()
        if content:
            repository = _parse_line(content, f"{path}:{number}")
            if found.setdefault(repository.name.lower(), repository) is not repository:
                raise ConfigError(f"{path}:{number}: {repository.name} is named twice; remove one of the lines")
    if not found:
        raise ConfigError(f"{path} names no repository; a line looks like NAME==VERSION --hash=sha256:HASH")
    return tuple(found.values())


def _parse_line(content: str, place: str) -> PinnedRepository:
    match = _PINNED.fullmatch(content)
    if match is None:
        raise ConfigError(f"{place}: {content!r} is not NAME==VERSION --hash=sha256:HASH (64 hexadecimal digits)")
    return PinnedRepository(match["name"], match["version"], match["sha256"].lower())


def default_folder() -> Path:
    """Where repositories are unpacked when nobody says otherwise."""
    return cache_root() / "repositories"


def fetch(
    repositories: Iterable[PinnedRepository],
    folder: Path | None = None,
    *,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Path]:
    """The root of every repository, downloaded and unpacked where that has not been done.

    A repository appears in ``folder`` by one rename when it is complete, so an interrupted call leaves nothing half
    done and two processes do not harm each other.

    Args:
        repositories: what to fetch.
        folder: where; the user's cache by default.
        progress: is given a line for people when something has to be fetched.

    Raises:
        ConfigError: no network, no such version, a wrong hash, or no space.
    """
    home = folder or default_folder()
    roots: dict[str, Path] = {}
    for repository in repositories:
        root = home / repository.folder_name
        if not root.is_dir():
            if progress is not None:
                progress(f"fetching {repository.name} {repository.version}")
            _fetch_one(repository, root)
        roots[repository.name] = root
    return roots


def _fetch_one(repository: PinnedRepository, root: Path) -> None:
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=root.parent) as folder:
            wheel = _download(repository, Path(folder))
            unpacked = Path(folder) / "unpacked"
            unpack(wheel, unpacked)
            _move_into_place(unpacked, root)
    except (OSError, zipfile.BadZipFile) as error:
        raise ConfigError(f"cannot unpack {repository.name} {repository.version} into {root}: {error}") from error


def _move_into_place(unpacked: Path, root: Path) -> None:
    try:
        unpacked.rename(root)
    except OSError:
        if not root.is_dir():  # else another process was faster, with the same content
            raise


def _download(repository: PinnedRepository, folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(repository.requirement + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--only-binary=:all:", "--require-hashes", "--implementation", "cp"]
    command += ["--python-version", "3.11", "--abi", "cp311", "--abi", "abi3", "--abi", "none"]
    command += [part for platform in _PLATFORMS for part in ("--platform", platform)]
    command += ["-r", str(requirements), "-d", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"fetching {repository.name} took over {_DOWNLOAD_TIMEOUT_S:.0f} s; try again") from error
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        raise ConfigError(_why_pip_failed(repository, done.stderr))
    return wheels[0]


def _why_pip_failed(repository: PinnedRepository, stderr: str) -> str:
    errors = [line.strip() for line in stderr.splitlines() if "ERROR" in line or "No module named pip" in line]
    reason = " ".join(errors) or stderr.strip()[-500:] or "pip gave no reason"
    return f"cannot fetch {repository.name} {repository.version}: {reason}"


def unpack(wheel: Path, folder: Path) -> None:
    """Unpack a wheel; nothing is written outside ``folder``.

    Raises:
        ConfigError: a member of the archive points outside.
        OSError: ``folder`` cannot be written.
    """
    folder.mkdir(parents=True)
    home = folder.resolve()
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if "\\" in member.filename or not (home / member.filename).resolve().is_relative_to(home):
                raise ConfigError(f"{wheel.name} holds {member.filename!r}, which points outside of it; do not use it")
        archive.extractall(folder)
    _merge_data_folder(folder)


def _merge_data_folder(folder: Path) -> None:
    """Code in ``NAME.data/purelib`` belongs to the root, as an installer would put it."""
    for part in [*folder.glob("*.data/purelib"), *folder.glob("*.data/platlib")]:
        shutil.copytree(part, folder, dirs_exist_ok=True)
        shutil.rmtree(part)


def open_repositories(
    source: Path, progress: Callable[[str], None] | None = None, only: Sequence[str] = ()
) -> dict[str, Path]:
    """The repositories of a list, fetched where that is needed; or, for a folder, that repository alone.

    Args:
        source: a list, or a folder.
        progress: told what is fetched.
        only: names of the list; all where there are none.

    Raises:
        ConfigError: as ``read_manifest`` and ``fetch``; a name is not there.
    """
    if source.is_dir():
        root = source.resolve()
        _require_known(only, [root.name], source)
        return {root.name: root}
    entries = {one.name: one for one in read_manifest(source)}
    _require_known(only, list(entries), source)
    return fetch([entries[name] for name in only or entries], progress=progress)


def _require_known(names: Sequence[str], known: Sequence[str], source: Path) -> None:
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"{source} has no repository called {unknown[0]}; there are {', '.join(known)}")
