"""One copy of the model: takes a connection, writes a text, feeds the answers of the client's tool to it.

Knows no routes and no tokens. Start reading at ``Replica.serve``.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from generation import models, service
from generation.errors import ConfigError
from generation.remote.wire import Answered, Asked, Failed, ImportFound, Message, pack, unpack
from generation.serving.wire_tool import WireTool, generate
from generation.types import Finished

if TYPE_CHECKING:
    from generation.serving.app import Service

BUSY, BAD, TOKEN = 1013, 1003, 1008  # WebSocket close codes
_REQUEST_S = 10.0  # so long a connection keeps a place without saying what it wants
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json")


class Replica:
    """One copy of the model."""

    def __init__(self, served: Service, counts: Any) -> None:
        self._served, self._counts = served, counts
        self.model, self._places = service.model_for_threads(service.load_model(served.config), served.together)
        self._running = 0
        self._threads = ThreadPoolExecutor(self._places, "writing")

    def about(self) -> dict[str, object]:
        """What a client must know of the model."""
        tokenizer = self.model.tokenizer
        return {
            "name": self.model.name,
            "weights": self._served.weights,
            "context_tokens": self.model.context_tokens,
            "vocabulary": len(tokenizer.token_bytes),
            "mark_id": tokenizer.mark_id,
        }

    def tokenizer(self) -> dict[str, str]:
        """Its files."""
        folder = models.resolve(self._served.config.model)
        paths = (folder / name for name in _TOKENIZER_FILES)
        return {path.name: path.read_text(encoding="utf-8") for path in paths if path.is_file()}

    async def serve(self, socket: Any) -> None:
        """One generation over a WebSocket that was accepted."""
        if self._running >= self._places:
            self.count(refused_total=1)
            await end(socket, Failed(f"all {self._places} places are taken"), BUSY)
            return
        self._running += 1
        self.count(running=1)
        try:
            await self._serve(socket)
        finally:
            self._running -= 1
            self.count(running=-1)

    def count(self, **amounts: float) -> None:
        """Tell the actor; nobody waits."""
        self._counts.add.remote(amounts)

    async def _serve(self, socket: Any) -> None:
        try:
            asked = unpack(await asyncio.wait_for(socket.receive_text(), _REQUEST_S))
        except TimeoutError:
            await end(socket, Failed(f"nothing was asked for in {_REQUEST_S:g} s"), BAD)
            return
        except ValueError as error:
            await end(socket, Failed(f"not understood: {error}"), BAD)
            return
        if not isinstance(asked, Asked):
            await end(socket, Failed("a connection starts with what is wanted"), BAD)
            return
        try:
            self._served.limits.check(asked)
        except ConfigError as error:
            self.count(refused_total=1)
            await end(socket, Failed(str(error)), BAD)
            return
        loop, gone = asyncio.get_running_loop(), threading.Event()

        def send(message: Message) -> None:
            with suppress(Exception):  # a client that has left is seen by its reader
                asyncio.run_coroutine_threadsafe(socket.send_text(pack(message)), loop).result(30.0)

        tool = WireTool(asked.request.before, send, gone)
        reading = asyncio.create_task(_read_answers(socket, tool))
        started_s = time.monotonic()
        try:
            finished = await loop.run_in_executor(
                self._threads, generate, self.model, asked, self._served.limits, tool, send, gone
            )
        finally:
            reading.cancel()
        self._count(finished, tool.asked, time.monotonic() - started_s)
        with suppress(Exception):
            await socket.close()

    def _count(self, finished: Finished | None, questions: int, seconds: float) -> None:
        reason = finished.reason.value if finished else "failed"
        tokens = finished.stats.generated_tokens if finished else 0
        amounts = {f'generations_total{{reason="{reason}"}}': 1, "generated_tokens_total": tokens,
                   "tool_questions_total": questions, "generation_seconds_total": seconds}  # fmt: skip
        self._counts.add.remote(amounts)


async def _read_answers(socket: Any, tool: WireTool) -> None:
    """Feed the tool until the client leaves."""
    try:
        while True:
            message = unpack(await socket.receive_text())
            if isinstance(message, Answered | ImportFound):
                tool.receive(message)
    except asyncio.CancelledError:
        raise
    except Exception:  # noqa: BLE001 - it left, or talks nonsense; both end its generation
        tool.leave()


async def end(socket: Any, message: Failed, code: int) -> None:
    """Say why, and close."""
    with suppress(Exception):
        await socket.send_text(pack(message))
        await socket.close(code)
