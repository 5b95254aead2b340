"""The server as a whole: what it holds, how it starts to be ready, and what a change of settings means.

The handlers of single methods are in ``handlers``, one module each. Everything here runs on the event loop; the model
is touched on the decode thread, folders are read on another. Start reading at ``MemberwiseServer.load``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.exceptions import FeatureRequestError
from pygls.lsp.server import LanguageServer

from generation import __version__
from generation.config import GeneratorConfig
from generation.errors import MemberwiseError
from generation.interfaces import LanguageModel, ReportShare, Tell
from generation.service import Session
from lsp_server.completions import Completions
from lsp_server.decode_thread import DecodeThread, Worker
from lsp_server.documents import Documents
from lsp_server.extensions import DID_CHANGE_STATUS, ServerStatus, payload
from lsp_server.progress import Progress
from lsp_server.protocol import Protocol, converter
from lsp_server.records import Records
from lsp_server.repositories import Repositories, configuration
from lsp_server.settings import Settings

_log = logging.getLogger(__name__)

LoadModel = Callable[[GeneratorConfig, ReportShare, Tell], LanguageModel]
_MODEL_FIELDS = ("model", "adapter", "threads", "trigger", "context_tokens")
_REREAD_S = 1.0  # after the first of some changes on disk
_SESSION_FIELDS = ("temperature", "python", "trusted", "body_tokens")
_LENS_FIELDS = ("enabled", "code_lens")  # what decides whether lenses are shown


class MemberwiseServer(LanguageServer):
    """State that handlers share.

    Args:
        load_model: makes the model that the settings name.
        leave: ends this server, with an exit code.
        watch_client: is told the process id of the client, which may be None.
        worker: the thread that touches the model, where servers share one.
    """

    def __init__(
        self,
        load_model: LoadModel,
        leave: Callable[[int], None],
        watch_client: Callable[[int | None], None],
        worker: Worker | None = None,
    ) -> None:
        super().__init__(
            "memberwise",
            __version__,
            text_document_sync_kind=types.TextDocumentSyncKind.Incremental,
            notebook_document_sync=types.NotebookDocumentSyncOptions(
                notebook_selector=[
                    types.NotebookDocumentFilterWithCells(cells=[types.NotebookCellLanguage(language="python")])
                ]
            ),
            protocol_cls=Protocol,
            converter_factory=converter,
            max_workers=2,
        )
        self.settings = Settings()
        self.initialization_options: object = None
        self.documents = Documents()
        self.records = Records()
        self.repositories = Repositories()
        self.progress_bars = Progress(self)
        self.reading = ThreadPoolExecutor(2, thread_name_prefix="reading")  # Jedi, syntax trees, folders
        self.model: LanguageModel | None = None
        self.failure = ""  # why there is no model
        self.status = ServerStatus(busy=True, kind="loading", message="starting")
        self.bodies = 0  # generations of bodies under way
        self.leave = leave
        self.watch_client = watch_client
        self._load_model = load_model
        self._worker = worker
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loading = asyncio.Lock()
        self._will_reread = False
        self._warned: set[str] = set()
        self._decode: DecodeThread | None = None
        self._completions: Completions | None = None

    # ------------------------------------------------------------------------------------------ parts that need a loop

    @property
    def decode(self) -> DecodeThread:
        """The thread that touches the model."""
        if self._decode is None:
            self._decode = DecodeThread(asyncio.get_running_loop(), self._worker)
        return self._decode

    @property
    def completions(self) -> Completions:
        """Completions at a cursor."""
        if self._completions is None:
            self._completions = Completions(self.decode, lambda: self.settings)
        return self._completions

    def stop_decoding(self) -> None:
        """End what the model is doing; nothing can be generated afterwards. From any thread."""
        if self._decode is not None:
            self._decode.close()

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run ``work`` beside the handlers."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ------------------------------------------------------------------------------------------ getting ready

    async def load(self) -> None:
        """Load the model if there is none, then read the folders that have not been read."""
        async with self._loading:
            if self.model is None and not self.failure and self.settings.enabled:
                await self._load()
            if self.model is not None:
                await self._read_folders(self.model)
                self.say(self.idle_status)

    async def _load(self) -> None:
        settings = self.settings
        async with self._shown_loading(f"loading the model {settings.model}") as report:
            tell = partial(self.decode.call, self.warn)
            job = self.decode.submit(lambda _stop: self._load_model(configuration(settings), report, tell))
            model, failure = None, ""
            try:
                model = await job.result
            except Exception as error:  # noqa: BLE001 - out of memory, damaged weights: the server stays and says so
                failure = str(error) if isinstance(error, MemberwiseError) else f"{type(error).__name__}: {error}"
            if _differ(settings, self.settings, _MODEL_FIELDS):
                return  # who changed them loads again
            self.model, self.failure = model, failure
            if failure:
                self.say(ServerStatus(busy=False, kind="error", message=failure))
                self.warn(f"Memberwise has no model: {failure}")

    async def _read_folders(self, model: LanguageModel) -> None:
        for root in self.repositories.missing():
            if self.model is not model:
                return
            known = root in self.repositories.roots
            async with self._shown_loading(f"reading {root.name}" if known else "reading", silent=not known) as report:
                await self._read_folder(root, model, report)

    async def _read_folder(self, root: Path, model: LanguageModel, report: ReportShare) -> None:
        build, settings = self.repositories.build, self.settings
        try:
            session: Session = await self.run_reading(build, root, settings, model, report)
        except Exception as error:  # noqa: BLE001 - a folder that cannot be read must not take the others with it
            self.warn(f"Memberwise cannot read {root}: {error}")
            return
        if self.model is not model or _differ(settings, self.settings, _SESSION_FIELDS):
            session.close()
            return
        self.repositories.add(root, session)
        for warning in session.warnings:
            self.warn(warning)

    def disk_changed(self) -> None:
        """Files were written: soon what is known of the folders is brought up to date, once for many files."""
        if not self._will_reread:
            self._will_reread = True
            self.start(self._reread())

    async def _reread(self) -> None:
        await asyncio.sleep(_REREAD_S)
        async with self._loading:
            self._will_reread = False
            for session in self.repositories.sessions:
                try:
                    await self.run_reading(session.reread)
                except Exception as error:  # noqa: BLE001 - as for a folder that cannot be read
                    self.warn(f"Memberwise cannot read {session.root} again: {error}")

    @contextlib.asynccontextmanager
    async def _shown_loading(self, what: str, *, silent: bool = False) -> AsyncIterator[ReportShare]:
        """Tell the client what is loading and how far it is, in the status and as a bar, while the block runs."""
        loop = asyncio.get_running_loop()
        self.say(ServerStatus(busy=True, kind="loading", message=what, percent=0))
        async with self.progress_bars.shown("Memberwise", what, silent=silent) as show:
            told = 0

            def tell(percent: int) -> None:
                self.say(ServerStatus(busy=True, kind="loading", message=what, percent=percent))
                show(percent)

            def report(share: float) -> None:
                nonlocal told
                if (percent := int(100 * share)) > told:
                    told = percent
                    loop.call_soon_threadsafe(tell, percent)

            yield report

    async def run_reading(self, function: Callable[..., Any], *args: object) -> Any:
        """Run something slow that touches no model."""
        return await asyncio.get_running_loop().run_in_executor(self.reading, function, *args)

    def unready(self, path: Path | None) -> str:
        """Why nothing can be generated for a file now; empty when it can."""
        if not self.settings.enabled:
            return "Memberwise is paused"
        if self.failure:
            return self.failure
        if self.model is None:
            return "the model is still loading"
        if self.repositories.of(path)[0] is None:
            return f"{self.repositories.root_of(path).name} is still being read"
        return ""

    # ------------------------------------------------------------------------------------------ settings

    def apply_settings(self, new: Settings, problems: tuple[str, ...]) -> None:
        """Take new settings; what they change is loaded again in the background."""
        if problems:
            self.warn("Memberwise: " + "; ".join(problems), always=True)
        old, self.settings = self.settings, new
        if old == new:
            return
        if _differ(old, new, _MODEL_FIELDS):
            self.model, self.failure = None, ""
        if _differ(old, new, (*_MODEL_FIELDS, *_SESSION_FIELDS)):
            self.repositories.close_all()
        if _differ(old, new, _LENS_FIELDS):
            self._refresh_lenses()
        self.completions.stop()
        self.say(self.idle_status)
        self.start(self.load())

    def _refresh_lenses(self) -> None:
        """Let the client ask for its lenses again: editors do so by themselves only after a change of the text."""
        workspace = self.client_capabilities.workspace
        if workspace and workspace.code_lens and workspace.code_lens.refresh_support:
            self.workspace_code_lens_refresh(None)

    # ------------------------------------------------------------------------------------------ telling

    @property
    def idle_status(self) -> ServerStatus:
        """What is so when nothing happens."""
        if not self.settings.enabled:
            return ServerStatus(busy=False, kind="paused", message="paused")
        if self.failure:
            return ServerStatus(busy=False, kind="error", message=self.failure)
        if self.model is None:
            return ServerStatus(busy=True, kind="loading", message="starting")
        problems = (session.tool.problem for session in self.repositories.sessions)
        if problem := next(filter(None, problems), ""):
            return ServerStatus(busy=False, kind="error", message=problem)
        return ServerStatus(busy=False, kind="ready", message=self.model.name)

    def say(self, status: ServerStatus) -> None:
        """Tell the client what is going on, when it is something else than before."""
        if status != self.status:
            self.status = status
            self.protocol.notify(DID_CHANGE_STATUS, payload(status))

    def say_why(self, reason: str) -> None:
        """Tell why nothing is shown."""
        self.records.last_reason = reason
        waiting = self.model is None or bool(self.failure) or not self.settings.enabled
        kind = self.idle_status.kind if waiting else "empty"
        self.say(ServerStatus(busy=kind == "loading", kind=kind, message=reason))

    def warn(self, message: str, *, always: bool = False) -> None:
        """Show a warning, the same one only once."""
        if always or message not in self._warned:
            self._warned.add(message)
            self.window_show_message(types.ShowMessageParams(types.MessageType.Warning, message))

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Errors outside of any request: bytes that are no message, a notification that failed. Never the content."""
        assert isinstance(self.protocol, Protocol)
        if source is not FeatureRequestError and not self.protocol.report_broken(error):
            _log.warning("a message failed: %s", type(error).__name__)


def _differ(old: Settings, new: Settings, names: tuple[str, ...]) -> bool:
    return any(getattr(old, name) != getattr(new, name) for name in names)
