"""Progress bars in the editor: ours while something loads, the client's own for commands, with their cancel button."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import TYPE_CHECKING

from lsprotocol import types

if TYPE_CHECKING:
    from lsp_server.server import MemberwiseServer

_CREATE_S = 2.0


class Progress:
    """Work that is shown; knows what to do when the user cancels it."""

    def __init__(self, server: MemberwiseServer) -> None:
        self._server = server
        self._cancels: dict[types.ProgressToken, Callable[[], None]] = {}
        self._numbers = count(1)

    @contextlib.asynccontextmanager
    async def shown(self, title: str, message: str, *, silent: bool = False) -> AsyncIterator[Callable[[int], None]]:
        """A bar of the server's own, for as long as the block runs; none where the client has no bars.

        What the block is given tells it the percentage that is done.
        """
        token = None if silent or not self._supported else await self._created()
        if token is not None:
            self.send(token, types.WorkDoneProgressBegin(title, message=message, percentage=0))

        def report(percent: int) -> None:
            if token is not None:
                self.send(token, types.WorkDoneProgressReport(percentage=percent))

        try:
            yield report
        finally:
            if token is not None:
                self.send(token, types.WorkDoneProgressEnd())

    def begin(self, token: types.ProgressToken | None, title: str, cancel: Callable[[], None]) -> None:
        """Start the bar that a client has made for its request."""
        if token is not None:
            self._cancels[token] = cancel
            self.send(token, types.WorkDoneProgressBegin(title, cancellable=True))

    def report(self, token: types.ProgressToken | None, message: str) -> None:
        """Say how it goes."""
        if token is not None:
            self.send(token, types.WorkDoneProgressReport(message=message, cancellable=True))

    def end(self, token: types.ProgressToken | None, message: str) -> None:
        """Take the bar away."""
        if token is not None:
            self._cancels.pop(token, None)
            self.send(token, types.WorkDoneProgressEnd(message=message))

    def cancelled(self, token: types.ProgressToken) -> None:
        """The user pressed cancel."""
        if (cancel := self._cancels.get(token)) is not None:
            cancel()

    def send(self, token: types.ProgressToken, value: object) -> None:
        """One ``$/progress``; also for partial results."""
        self._server.protocol.notify(types.PROGRESS, types.ProgressParams(token, value))

    @property
    def _supported(self) -> bool:
        window = self._server.client_capabilities.window
        return bool(window and window.work_done_progress)

    async def _created(self) -> types.ProgressToken | None:
        token = f"memberwise-{next(self._numbers)}"
        create = self._server.window_work_done_progress_create_async(types.WorkDoneProgressCreateParams(token))
        with contextlib.suppress(Exception):  # a client that cannot: then there is no bar
            await asyncio.wait_for(create, _CREATE_S)
            return token
        return None
