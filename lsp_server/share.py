"""``memberwise serve --share``: several windows, one process that holds the model.

A window starts a small process that passes bytes between the editor and a socket; behind the socket one *host* runs a
server for every connection. They share the weights and the thread that touches them, and nothing else. The socket lies
in a folder that only its owner may enter. The host starts with the first window and ends with the last one.

Start reading at ``pass_through`` (a window) and ``host``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from weakref import WeakValueDictionary

import platformdirs
from filelock import FileLock

from generation import __version__
from generation.config import GeneratorConfig, Trigger
from generation.errors import ConfigError
from generation.interfaces import LanguageModel, ReportShare, Tell
from generation.orphans import watch_parent
from lsp_server import lifetime
from lsp_server.decode_thread import Worker
from lsp_server.protocol import Input
from lsp_server.serve import build_server, prepare_process
from lsp_server.server import LoadModel, MemberwiseServer

_START_S = 20.0
_LINGER_S = 5.0  # a window that is reloaded finds the host again
_CHUNK_BYTES = 65_536


def pass_through(arguments: Sequence[str]) -> int:
    """Connect an editor to the host, which is started where there is none; the exit code.

    Args:
        arguments: of ``memberwise serve`` for the host.

    Raises:
        ConfigError: there are no local sockets here, or their folder belongs to somebody else.
    """
    path = _socket_path(arguments)
    connection = _connected(path, arguments)
    codes: queue.SimpleQueue[int] = queue.SimpleQueue()
    watch_parent(lambda: codes.put(0))
    for copy in (_to_host, _to_editor):
        threading.Thread(target=copy, args=(connection, codes), daemon=True).start()
    code = codes.get()
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    os._exit(code)  # a thread may still be reading from the editor


def host(path: Path, load_model: LoadModel, *, verbose: bool = False) -> int:
    """Serve every window that connects to ``path``; ends some seconds after the last one has gone."""
    prepare_process(verbose=verbose)
    _Host(path, load_model).run()
    return 0


class SharedModels:
    """The models of all windows, each once."""

    def __init__(self, load_model: LoadModel) -> None:
        self._load_model = load_model
        self._held = WeakValueDictionary[tuple[object, ...], LanguageModel]()  # while a window has them
        self._latest: LanguageModel | None = None  # is kept for the next window

    def load(self, config: GeneratorConfig, report: ReportShare, tell: Tell) -> LanguageModel:
        """The model for these settings; on the worker's thread, so never twice at once."""
        marks = config.decoding.trigger is Trigger.MARK  # which adapter is taken where none is named
        key = config.model, config.adapter, marks, config.threads, config.context_tokens
        self._latest = self._held.get(key) or self._load_model(config, report, tell)
        self._held[key] = self._latest
        return self._latest


class _Host:
    """The process behind the socket."""

    def __init__(self, path: Path, load_model: LoadModel) -> None:
        self._path = path
        self._worker = Worker()
        self._models = SharedModels(load_model)
        self._servers: dict[socket.socket, MemberwiseServer] = {}
        self._idle_since_s = time.monotonic()

    def run(self) -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self._path))
            self._path.chmod(stat.S_IRUSR | stat.S_IWUSR)
            listener.listen()
            listener.settimeout(0.5)
            lifetime.on_signal(self._end)
            while self._servers or time.monotonic() - self._idle_since_s < _LINGER_S:
                with contextlib.suppress(TimeoutError):
                    connection, _ = listener.accept()
                    connection.settimeout(None)
                    self._serve(connection)
        self._end()

    def _end(self) -> None:
        self._path.unlink(missing_ok=True)
        lifetime.end(list(self._servers.values()), 0)

    def _serve(self, connection: socket.socket) -> None:
        def leave(code: int) -> None:
            with contextlib.suppress(OSError):
                connection.sendall(bytes([code]))
                connection.shutdown(socket.SHUT_RDWR)

        server = build_server(self._models.load, leave, worker=self._worker)
        self._servers[connection] = server
        threading.Thread(target=self._talk, args=(server, connection), daemon=True).start()

    def _talk(self, server: MemberwiseServer, connection: socket.socket) -> None:
        try:
            with (
                contextlib.suppress(OSError),  # of a window that died: closing the writer raises too
                connection,
                Input(connection.makefile("rb", buffering=0)) as reading,
                connection.makefile("wb") as writing,
            ):
                server.start_io(reading, writing)
        finally:
            server.stop_decoding()
            lifetime.clean_up(server)
            self._idle_since_s = time.monotonic()
            self._servers.pop(connection, None)


# ------------------------------------------------------------------------------------------------- the window's side


def _to_host(connection: socket.socket, codes: queue.SimpleQueue[int]) -> None:
    with contextlib.suppress(OSError):
        while chunk := os.read(0, _CHUNK_BYTES):
            connection.sendall(chunk)
        codes.put(0)  # not where the host is gone: how it went, the other thread knows


def _to_editor(connection: socket.socket, codes: queue.SimpleQueue[int]) -> None:
    """Pass on what the host says. Behind the last message comes the exit code, a byte that no message holds.

    A host that was killed says none.
    """
    code = 1
    with contextlib.suppress(OSError):
        while chunk := connection.recv(_CHUNK_BYTES):
            if chunk[-1] <= 1:
                code, chunk = chunk[-1], chunk[:-1]
            _write_all(chunk)
    codes.put(code)


def _write_all(chunk: bytes) -> None:
    while chunk:
        chunk = chunk[os.write(1, chunk) :]


def _connected(path: Path, arguments: Sequence[str]) -> socket.socket:
    """A connection to the host; one window at a time looks, so that two do not start two."""
    with FileLock(f"{path}.lock", timeout=_START_S):
        if (found := _try(path)) is not None:
            return found
        path.unlink(missing_ok=True)  # of a host that was killed
        command = [sys.executable, "-m", "generation.cli.main", "serve", *arguments, "--share-host", str(path)]
        nothing = subprocess.DEVNULL
        subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
        until_s = time.monotonic() + _START_S
        while time.monotonic() < until_s:
            if (found := _try(path)) is not None:
                return found
            time.sleep(0.05)
    raise ConfigError(f"the shared server did not start within {_START_S:.0f} s; leave --share out")


def _try(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        return None
    return connection


def _socket_path(arguments: Sequence[str]) -> Path:
    """Where the host for this version, interpreter and these arguments listens.

    Raises:
        ConfigError: there are no local sockets here, or somebody else could enter the folder.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise ConfigError("--share needs local sockets, which this system does not have; leave it out")
    folder = Path(platformdirs.user_runtime_path("memberwise"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ConfigError(f"{folder} must be a folder that only you may enter (chmod 700 {folder})")
    name = hashlib.sha256("\0".join([__version__, sys.executable, *arguments]).encode()).hexdigest()[:16]
    return folder / f"{name}.sock"
