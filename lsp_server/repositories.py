"""One ``Session`` per workspace folder, and one for files that belong to none.

A folder is read in the background; until that is done its files have no session. A file outside every folder, or one
that is not on disk, gets a session over a folder that does not exist: nothing of the machine is read. Start reading at
``Repositories.of``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from generation.cache import cache_root
from generation.config import PRESETS, GeneratorConfig, SamplingConfig, ToolConfig
from generation.interfaces import LanguageModel, ReportShare
from generation.service import Session, build_generator, usual_preset
from lsp_server.settings import Settings

_NOWHERE = ("nowhere",) * 9  # below the cache; never made, and so deep that no relative import leads out of it


def configuration(settings: Settings) -> GeneratorConfig:
    """The generator's settings. With the trigger mode auto they are what ``memberwise generate`` takes by itself."""
    preset = usual_preset(settings.model, settings.adapter) if settings.trigger == "auto" else settings.trigger
    return GeneratorConfig(
        model=settings.model,
        adapter=settings.adapter,
        threads=settings.threads,
        max_tokens=settings.body_tokens,
        decoding=PRESETS[preset],
        sampling=SamplingConfig(temperature=settings.temperature),
        tool=ToolConfig(
            trusted=settings.trusted,
            python=Path(settings.python) if settings.python and settings.trusted else None,
        ),
    ).filling(settings.context_tokens)


class Repositories:
    """Sessions by folder. ``open`` may run on any one thread at a time; the rest belongs to the event loop."""

    def __init__(self) -> None:
        self._sessions: dict[Path, Session] = {}
        self._roots: tuple[Path, ...] = ()
        self._nowhere = cache_root().absolute().joinpath(*_NOWHERE)

    @property
    def roots(self) -> tuple[Path, ...]:
        """The workspace folders."""
        return self._roots

    def set_roots(self, roots: Iterable[Path | None]) -> None:
        """The workspace folders have changed; sessions of those that are gone are closed."""
        self._roots = tuple(dict.fromkeys(root.absolute() for root in roots if root is not None))
        for gone in self._sessions.keys() - {*self._roots, self._nowhere}:
            self._sessions.pop(gone).close()

    def missing(self) -> tuple[Path, ...]:
        """Folders that have no session yet."""
        return tuple(root for root in (*self._roots, self._nowhere) if root not in self._sessions)

    def build(self, root: Path, settings: Settings, model: LanguageModel, report: ReportShare) -> Session:
        """Read a folder; takes long, and touches nothing of this object."""
        config = configuration(settings)
        if settings.trigger == "auto" and model.tokenizer.mark_id is None:
            config = config.with_preset("dot").filling(settings.context_tokens)
        return build_generator(config, root, model, report=report)

    def add(self, root: Path, session: Session) -> None:
        """A folder was read."""
        if root in self._sessions or (root not in self._roots and root != self._nowhere):
            session.close()
        else:
            self._sessions[root] = session

    @property
    def sessions(self) -> tuple[Session, ...]:
        """Of all folders that have been read."""
        return tuple(self._sessions.values())

    def root_of(self, path: Path | None) -> Path:
        """The folder a file belongs to, the innermost where several do."""
        around = [root for root in self._roots if path is not None and path.is_relative_to(root)]
        return max(around, key=lambda root: len(root.parts), default=self._nowhere)

    def of(self, path: Path | None) -> tuple[Session | None, Path]:
        """The session for a file, if its folder has been read, and the path the file has in it."""
        root = self.root_of(path)
        inside = path if path is not None and root != self._nowhere else root / (path.name if path else "untitled.py")
        return self._sessions.get(root), inside if inside.suffix in (".py", ".pyi") else Path(f"{inside}.py")

    def close_all(self) -> None:
        """End the tool processes of all folders."""
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            session.close()
