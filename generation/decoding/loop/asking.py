"""Questions to the tool while the model decodes: an answer is waited for only when it is needed.

Knows no text and no model. Start reading at ``Asker``.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from generation.interfaces import CompletionTool
from generation.types import GenerationRequest, NameKind, ToolAnswer, ToolQuery


class Asker:
    """Asks one tool, one question after the other, on a thread of its own. One for each generation.

    Args:
        tool: answers; without one nothing may be asked.
    """

    def __init__(self, tool: CompletionTool | None) -> None:
        self._tool = tool
        self._thread = ThreadPoolExecutor(1, "tool-asking")

    def ask(self, query: ToolQuery) -> Future[ToolAnswer]:
        """The answer to come; a question whose answer nobody needs is still answered, before the next one."""
        assert self._tool is not None
        return self._thread.submit(self._tool.suggest, query)

    def close(self) -> None:
        """Ask no more; returns at once."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def first_question(request: GenerationRequest) -> ToolQuery:
    """Which names the hole may start with: what is found on the way there, later questions need too."""
    before = request.before + request.opening
    return ToolQuery(request.root, request.path, before, request.after, NameKind.NAME)
