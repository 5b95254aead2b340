"""A model that a server runs, for the repositories of this machine; the tool is asked here.

When the connection is lost, or a text refused, the local model writes the text again: greedy or seed by seed it is the
same, so what was shown already is passed over, and it is said. Start reading at ``RemoteModel``.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import logging
import os
import ssl
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from generation.cache import cache_root
from generation.config import DecodingConfig, SamplingConfig
from generation.errors import ConfigError, LostError, MissingExtraError, ModelLoadError, RefusedError
from generation.interfaces import CompletionTool, DecodingState, LanguageModel, Tell, Tokenizer
from generation.remote.wire import (
    Answered,
    Asked,
    Failed,
    ImportAsked,
    ImportFound,
    Question,
    decode,
    pack,
    unpack,
)
from generation.types import (
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationRequest,
    GenerationStats,
    NameKind,
    Started,
    Suggestion,
    TextDelta,
    ToolCalled,
    ToolQuery,
)

TOKEN_VARIABLE = "MEMBERWISE_TOKEN"
_CONNECT_S = 10.0
_POLL_S = 0.1  # how soon a cancel is seen
_SILENT_S = 60.0  # without a message the server is taken for lost
_RETRY_S = 30.0  # after a lost connection the local model is used for so long
_log = logging.getLogger("memberwise")  # not below "generation", which the command line keeps quiet

LoadTokenizer = Callable[[Path, int, int | None], Tokenizer]


@dataclass(frozen=True, slots=True)
class _About:
    """What the server says of its model."""

    name: str
    weights: str
    context_tokens: int
    vocabulary: int
    mark_id: int | None

    @classmethod
    def read(cls, text: str) -> _About:
        """From a server's answer; what a newer server says besides is passed over.

        Raises:
            ValueError, TypeError: it is no such answer.
        """
        known = {field.name for field in fields(cls)}
        about: _About = decode(cls, {name: value for name, value in dict(json.loads(text)).items() if name in known})
        return about


class RemoteModel:
    """Implements ``LanguageModel``: the tokenizer is here, sequences are those of the local model, text the server's.

    Args:
        url: of the server, ``http(s)://host:port``.
        load_tokenizer: from a folder, with the size of the vocabulary and the mark's id.
        load_local: the model to fall back to.
        local_weights: hash of that model's weights; another one does not write the same text.
        tell: is told when the local model is used instead.

    Raises:
        ConfigError: it is no address, or the server does not let us in.
        ModelLoadError: something else than Memberwise answers there.
    """

    def __init__(
        self,
        url: str,
        load_tokenizer: LoadTokenizer,
        load_local: Callable[[], LanguageModel],
        local_weights: Callable[[], str],
        tell: Tell | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        if urlsplit(self.url).scheme not in {"http", "https"} or not urlsplit(self.url).hostname:
            raise ConfigError(f"remote:{url} is no address; write remote:https://HOST:PORT")
        self._load_local, self._local_weights = load_local, local_weights
        self.tell = tell or _log.warning
        self._loading = threading.Lock()
        self._local: LanguageModel | None = None
        self._lost_s = self._refused_s = -_RETRY_S
        self._is_told = False  # that the server is lost
        self._load_tokenizer = load_tokenizer
        self._tokenizer: Tokenizer | None = None  # until the server has been met
        try:
            self._meet()
        except LostError as error:
            self.lost(str(error))

    def _meet_late(self) -> None:
        try:
            self._meet()
        except (ModelLoadError, OSError) as error:  # something else answers there; here somebody waits for a text
            raise LostError(str(error)) from error

    def _meet(self) -> None:
        """Ask the server what model it has."""
        try:
            self._about = _About.read(self._get("/v1/model"))
            folder = self._tokenizer_folder()
            self._tokenizer = self._load_tokenizer(folder, self._about.vocabulary, self._about.mark_id)
        except (ValueError, TypeError) as error:
            raise ModelLoadError(
                f"what answers at {self.url} is no Memberwise server, or one of another version ({error}); "
                "name the address that `memberwise serve-model` shows"
            ) from error

    @property
    def tokenizer(self) -> Tokenizer:
        """The server's, of which there is a copy here."""
        return self._tokenizer or self.local.tokenizer

    @property
    def name(self) -> str:
        """How records and reports call this model."""
        return self._about.name if self._tokenizer else self.local.name

    @property
    def context_tokens(self) -> int:
        """Longest sequence."""
        return self._about.context_tokens if self._tokenizer else self.local.context_tokens

    @property
    def is_lost(self) -> bool:
        """Whether the server was lost a short time ago."""
        return time.monotonic() - self._lost_s < _RETRY_S

    @property
    def local(self) -> LanguageModel:
        """The model to fall back to, loaded when it is needed."""
        with self._loading:
            self._local = self._local or self._load_local()
            return self._local

    def shared(self) -> LanguageModel:
        """Itself: each text has a connection of its own."""
        return self

    def start(self, prompt_ids: Sequence[int], stop: Callable[[], bool] | None = None) -> DecodingState:
        """A sequence of the local model; logits do not cross the wire."""
        return self.local.start(prompt_ids, stop)

    def lost(self, why: str) -> None:
        """Use the local model for a while, and say so."""
        if not self._is_told:
            self._is_told = True
            self._say(f"cannot be reached ({why}); the local model is used")
        self._lost_s = time.monotonic()

    def refused(self, why: str) -> None:
        """Say that the local model writes a text instead, though not of each that the server refuses."""
        if time.monotonic() - self._refused_s >= _RETRY_S:
            self._say(f"refused a text ({why}); the local model writes it")
            self._refused_s = time.monotonic()

    def _say(self, what: str) -> None:
        same = self._tokenizer is None or self._local_weights() == self._about.weights
        other = "" if same else "; its weights are not those of the server, so text may differ"
        self.tell(f"the model at {self.url} {what}{other}")

    def connect(self) -> Any:
        """A connection for one generation.

        Raises:
            LostError: the server cannot be reached.
            ConfigError: it does not let us in.
        """
        if self._tokenizer is None:
            self._meet_late()
        client = _websockets()
        address = "ws" + self.url.removeprefix("http") + "/v1/generate"
        try:
            found = client.connect(address, additional_headers=_headers(), open_timeout=_CONNECT_S, max_size=1 << 24)
        except client.InvalidStatus as error:
            if error.response.status_code in {401, 403}:
                raise _refused(self.url) from error
            raise LostError(str(error)) from error
        except (OSError, TimeoutError, client.InvalidHandshake) as error:
            raise LostError(str(error) or type(error).__name__) from error
        self._is_told = False
        return found

    def _tokenizer_folder(self) -> Path:
        """A copy of the server's tokenizer, kept by its content."""
        files: dict[str, str] = decode(Mapping[str, str], json.loads(self._get("/v1/tokenizer")))
        digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:24]
        folder = cache_root() / "remote" / digest
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as scratch:
            for name, text in files.items():
                if Path(name).name != name or not name.endswith(".json"):
                    raise ModelLoadError(f"{self.url} sent a file called {name!r}; it is no tokenizer")
                written = Path(scratch) / name
                written.write_text(text, encoding="utf-8")
                written.replace(folder / name)  # another process may be reading the one before
        return folder

    def _get(self, path: str) -> str:
        request = urllib.request.Request(self.url + path, headers=_headers())  # noqa: S310 - http(s), checked above
        try:
            with urllib.request.urlopen(request, timeout=_CONNECT_S) as answer:  # noqa: S310
                text: str = answer.read().decode()
                return text
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in {401, 403}:
                raise _refused(self.url) from error
            raise LostError(f"HTTP {error.code}") from error
        except (OSError, ssl.SSLError, http.client.HTTPException) as error:
            raise LostError(str(error) or type(error).__name__) from error


class RemoteGenerator:
    """``Generator`` for a ``RemoteModel``.

    Args:
        model: the server.
        tool: is asked what the server wants to know.
        decoding: the method.
        sampling: temperature and top-p.
        local: makes the generator of the local model.
    """

    def __init__(
        self,
        model: RemoteModel,
        tool: CompletionTool,
        decoding: DecodingConfig,
        sampling: SamplingConfig,
        local: Callable[[], Any],
    ) -> None:
        self._model, self._tool = model, tool
        self._decoding, self._sampling = decoding, sampling
        self._local = local

    def stream(
        self, request: GenerationRequest, cancel: threading.Event | None = None, deadline_s: float | None = None
    ) -> Iterator[GenerationEvent]:
        """See ``Generator.stream``."""
        shown = _Shown()
        if not self._model.is_lost:
            try:
                yield from shown.noted(self._remote(request, cancel, deadline_s))
            except LostError as error:
                self._model.lost(str(error))
            except RefusedError as error:
                self._model.refused(str(error))
            else:
                return
        yield from shown.unseen(self._local().stream(request, cancel, deadline_s))

    def _remote(
        self, request: GenerationRequest, cancel: threading.Event | None, deadline_s: float | None
    ) -> Iterator[GenerationEvent]:
        with self._model.connect() as connection:
            asked = replace(request, root=Path("/"), path=Path("/") / _relative(request))
            with contextlib.suppress(LostError):  # who refuses closes at once; what is received says why
                _send(connection, pack(Asked(asked, self._decoding, self._sampling, deadline_s)))
            importable: Mapping[str, Suggestion] = {}
            while True:
                message = _received(connection, cancel)
                if message is None:
                    yield Finished(FinishReason.CANCELLED, "", (), GenerationStats())
                    return
                if not isinstance(message, Question | ImportAsked):
                    yield message
                    if isinstance(message, Finished):
                        return
                    continue
                reply: Answered | ImportFound
                if isinstance(message, ImportAsked):
                    reply = ImportFound(message.name, importable.get(message.name))
                else:
                    before = message.imports + request.before + message.text
                    query = ToolQuery(request.root, request.path, before, request.after, message.kind)
                    answer = self._tool.suggest(query)
                    importable = answer.importable if message.kind is NameKind.NAME else importable
                    reply = Answered(message.number, replace(answer, importable={}))
                with contextlib.suppress(LostError):  # it may have ended without it: then its last word is next
                    _send(connection, pack(reply))


class _Shown:
    """What was yielded before the connection was lost, so that it is not yielded again."""

    def __init__(self) -> None:
        self._characters = self._calls = 0
        self._started = False

    def noted(self, events: Iterator[GenerationEvent]) -> Iterator[GenerationEvent]:
        for event in events:
            self._started |= isinstance(event, Started)
            self._calls += isinstance(event, ToolCalled)
            self._characters += len(event.text) if isinstance(event, TextDelta) else 0
            yield event

    def unseen(self, events: Iterator[GenerationEvent]) -> Iterator[GenerationEvent]:
        for event in events:
            if isinstance(event, TextDelta):
                text = event.text[self._characters :]
                self._characters = max(0, self._characters - len(event.text))
                if text:
                    yield TextDelta(text)
            elif isinstance(event, ToolCalled) and self._calls:
                self._calls -= 1
            elif not (isinstance(event, Started) and self._started):
                yield event


def _received(connection: Any, cancel: threading.Event | None) -> GenerationEvent | Question | ImportAsked | None:
    """The next message; None when the caller wants no more."""
    until_s = time.monotonic() + _SILENT_S
    while not (cancel is not None and cancel.is_set()):
        try:
            message = unpack(connection.recv(timeout=_POLL_S))
        except TimeoutError:
            if time.monotonic() > until_s:
                raise LostError(f"no word for {_SILENT_S:.0f} s") from None
            continue
        except (_websockets().ConnectionClosed, OSError, ValueError) as error:
            raise LostError(str(error)) from error
        if isinstance(message, Failed):
            raise RefusedError(message.message) if message.refused else LostError(message.message)
        if isinstance(message, Asked | Answered | ImportFound):
            raise LostError("the server speaks another protocol")
        return message
    return None


def _send(connection: Any, text: str) -> None:
    try:
        connection.send(text)
    except (_websockets().ConnectionClosed, OSError) as error:
        raise LostError(str(error)) from error


def _relative(request: GenerationRequest) -> Path:
    return (
        request.path.relative_to(request.root) if request.path.is_relative_to(request.root) else Path(request.path.name)
    )


def _headers() -> dict[str, str]:
    token = os.environ.get(TOKEN_VARIABLE)
    return {"Authorization": f"Bearer {token}"} if token else {}


def _refused(url: str) -> ConfigError:
    return ConfigError(f"{url} does not know this token; set {TOKEN_VARIABLE} to the one that its owner gave you")


@cache
def _websockets() -> Any:
    """What is used of the library, which comes with an extra."""
    try:
        from websockets import exceptions
        from websockets.sync.client import connect
    except ImportError as error:
        raise MissingExtraError("websockets", "batch") from error
    return SimpleNamespace(
        connect=connect,
        ConnectionClosed=exceptions.ConnectionClosed,
        InvalidHandshake=exceptions.InvalidHandshake,
        InvalidStatus=exceptions.InvalidStatus,
    )
