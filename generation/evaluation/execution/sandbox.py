"""A place where code that nobody has read may run: no network, no files but its own, limits on time and memory.

Bubblewrap makes it, from what the kernel offers; without it nothing is run. Knows nothing of tests. Start reading at
``Sandbox.run``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from generation.errors import ConfigError

_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc/alternatives", "/etc/ld.so.cache")
_GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one command. ``cpu_s`` is of each process, ``wall_s`` of all together."""

    wall_s: float = 60.0
    cpu_s: int = 60
    memory_bytes: int = 4_000_000_000
    file_bytes: int = 200_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended. ``code`` is None when the time was over."""

    code: int | None
    output: str


class Sandbox:
    """Runs commands that see one folder, this Python, and the system's libraries.

    Args:
        folder: may be read; the working directory.
        readable: may be read as well.
        libraries: may be read, and imported by Python.
        scratch: may be written, besides a temporary folder that is gone after each command.

    Raises:
        ConfigError: bubblewrap or prlimit is not installed, or may not do its work here.
    """

    def __init__(
        self, folder: Path, readable: Sequence[Path] = (), libraries: Sequence[Path] = (), scratch: Path | None = None
    ) -> None:
        missing = [name for name in ("bwrap", "prlimit") if shutil.which(name) is None]
        if missing:
            raise ConfigError(
                f"running tests needs {' and '.join(missing)}, and nothing is run without a sandbox; "
                "install bubblewrap and util-linux (apt install bubblewrap util-linux)"
            )
        self._folder = folder.resolve()
        self._libraries = [library.resolve() for library in libraries]
        self._readable = [Path(sys.prefix), Path(sys.base_prefix), *readable, *self._libraries, self._folder]
        self._scratch = scratch.resolve() if scratch else None
        probe = self.run(["true"], Limits(wall_s=20.0))
        if probe.code != 0:
            raise ConfigError(f"bubblewrap cannot make a sandbox here: {probe.output.strip()[-300:]}")

    def run(self, command: Sequence[str], limits: Limits) -> Outcome:
        """Run a command to its end or to the end of its time; its children end with it."""
        try:
            done = subprocess.run(
                [*self._limited(limits), *self._bubble(), *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=limits.wall_s + _GRACE_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            return Outcome(None, (error.output or b"").decode(errors="replace"))
        return Outcome(done.returncode, done.stdout.decode(errors="replace"))

    def python(self, arguments: Sequence[str], limits: Limits) -> Outcome:
        """Run this Python there; ``timeout`` ends it, so that what it printed so far is there."""
        return self.run(["timeout", "-k", "5", str(limits.wall_s), sys.executable, *arguments], limits)

    def _limited(self, limits: Limits) -> list[str]:
        sizes = [f"--as={limits.memory_bytes}", f"--fsize={limits.file_bytes}", "--core=0"]
        return ["prlimit", f"--cpu={limits.cpu_s}", *sizes]

    def _bubble(self) -> list[str]:
        bubble = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--proc", "/proc"]
        bubble += ["--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108 - the sandbox's own
        for path in _SYSTEM:
            bubble += ["--symlink", str(Path(path).readlink()), path] if Path(path).is_symlink() else _bind(Path(path))
        for folder in dict.fromkeys(self._readable):
            bubble += _bind(folder)
        if self._scratch is not None:
            bubble += ["--bind", str(self._scratch), str(self._scratch)]
        bubble += ["--chdir", str(self._folder)]
        environment = {"HOME": "/tmp", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"}  # noqa: S108 - as above
        environment["PYTHONPATH"] = os.pathsep.join(map(str, [self._folder, *self._libraries]))
        environment |= dict.fromkeys(("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTHONDONTWRITEBYTECODE"), "1")
        environment["PYTHONHASHSEED"] = "0"
        return bubble + [part for name, value in environment.items() for part in ("--setenv", name, value)]


def _bind(path: Path) -> list[str]:
    return ["--ro-bind-try", str(path), str(path)]
