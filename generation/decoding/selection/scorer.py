"""A sequence longer than attention looks at: a ``Scorer`` with a chosen list.

A prompt is read in chunks, at its end in steps, and each chooses its list by its own rows. Behind the prompt the list
is chosen anew before every ``step`` tokens, at multiples of that number, by the token before: it is computed once more,
for its queries. So a draft must not reach over the next choice (``draft_room_tokens``), and drafts change nothing. The
start of an earlier prompt can be reused at ends of its chunks. Start reading at ``SelectingScorer.read``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from generation.decoding.llama.model import TreeNetwork
from generation.decoding.llama.scored_tree import ScoredTree
from generation.decoding.selection.settings import SelectionSettings
from generation.decoding.sequence import Stop
from generation.errors import StoppedError
from generation.types import Draft

if TYPE_CHECKING:
    from generation.decoding.gpu.compute import Choose
    from generation.decoding.gpu.long_rows import LongRows
    from generation.interfaces import Logits


class ListNetwork(TreeNetwork, Protocol):
    """What a list is chosen for: ``gpu.network.TorchNetwork``. Rows of our own kernels choose for themselves."""

    def forward(
        self,
        cache: Any,
        draft: Draft,
        rows: int,
        stop: Stop | None = None,
        first: int = 0,
        choose: Choose | None = None,
    ) -> Logits:
        """See ``TorchNetwork.forward``."""

    def long_rows(self, settings: SelectionSettings) -> LongRows:
        """The rows of a long sequence for which a list is chosen."""


@dataclass(slots=True)
class LastPrompt:
    """The prompt read last: its rows may be the start of the next one.

    Attributes:
        token_ids: of whole chunks.
        rows: of these tokens and perhaps more; None when there is none.
    """

    token_ids: list[int] = field(default_factory=list)
    rows: LongRows | None = None


class SelectingScorer:
    """One long sequence inside a network; implements ``Scorer``.

    Args:
        network: the weights and what runs them.
        settings: of the choice.
        last: taken over, and left for the next sequence.
    """

    def __init__(self, network: ListNetwork, settings: SelectionSettings, last: LastPrompt) -> None:
        self._network, self._settings, self._last = network, settings, last
        self.rows = network.long_rows(settings)
        self._length = 0
        self._token_ids: list[int] = []  # of whole chunks of the prompt
        self._tree = ScoredTree()
        self._nodes: list[int] = []
        self.reused_tokens = 0

    @property
    def draft_room_tokens(self) -> int:
        """How many tokens can be committed before the list is chosen anew."""
        return self._settings.step - self._length % self._settings.step

    def read(self, token_ids: Sequence[int], stop: Stop | None = None) -> Logits:
        """Read a whole prompt: chunks, then steps; logits (V,) after its last token."""
        settings, whole = self._settings, len(token_ids) // self._settings.chunk * self._settings.chunk
        if whole == len(token_ids):
            whole -= settings.chunk  # the end is read in steps: what is asked for there is looked for at once
        self._take_over(token_ids[:whole])
        logits = np.empty(0, np.float32)
        while self._length < len(token_ids):
            size = settings.chunk if self._length < whole else settings.step
            part = token_ids[self._length : self._length + size]
            try:
                logits = self._choosing_forward(part, stop)
            except StoppedError:
                self.close()
                raise
            self._append(len(part))
            if self._length <= whole:
                self._token_ids += part
        return logits

    def score(self, draft: Draft) -> Logits:
        """Logits (K, V) after each node; appends nothing. Nodes that were scored before cost nothing."""
        self._nodes = self._tree.add(draft)
        known = len(self._tree.logits)
        if known < len(self._tree):
            try:
                rows = self._network.forward(
                    self.rows.list, self._tree.as_draft(), len(self._tree) - known, first=known
                )
            except Exception:
                self._tree.drop_uncomputed()
                raise
            self._tree.logits.extend(rows)
        return np.stack([self._tree.logits[node] for node in self._nodes])

    def remembered(self, token_ids: Sequence[int]) -> int:
        """How many tokens of a path from here were scored already."""
        return self._tree.known(token_ids)

    def keep(self, path: Sequence[int]) -> None:
        """Append nodes of the draft scored last, from a root downwards; choose anew behind the end of a step."""
        before, last = self._length // self._settings.step, self._tree.token_ids[self._nodes[path[-1]]]
        self._network.keep(self.rows.list, self._tree.commit([self._nodes[node] for node in path]))
        self._append(len(path))
        if self._length // self._settings.step > before:
            self._tree = ScoredTree()
            self._choose_again(last)

    def close(self) -> None:
        """Leave whole chunks of the prompt to prompts that start in the same way."""
        self._last.token_ids, self._last.rows = self._token_ids, self.rows

    def _take_over(self, token_ids: Sequence[int]) -> None:
        """Go on where the last prompt starts in the same way."""
        chunk, last = self._settings.chunk, self._last
        shared = 0
        while shared < len(token_ids) and last.token_ids[shared : shared + chunk] == list(
            token_ids[shared : shared + chunk]
        ):
            shared += chunk
        if last.rows is None or not shared:
            return
        self.rows, last.rows = last.rows, None
        self.rows.store.length = self._length = self.reused_tokens = shared
        self.rows.forget()
        self._token_ids = list(token_ids[:shared])

    def _choosing_forward(self, token_ids: Sequence[int], stop: Stop | None = None) -> Logits:
        """Logits (V,) after the last of these tokens, which choose what they see."""
        chooses = self.rows.begin(anew=self._length % self._settings.chunk == 0)
        choose = self.rows.choose if chooses else None
        logits: Logits = self._network.forward(self.rows.list, Draft.chain(token_ids), 1, stop, choose=choose)[-1]
        return logits

    def _choose_again(self, token_id: int) -> None:
        """Let the last token choose what those behind it see: it is computed a second time, in its own place."""
        if not self.rows.begin(anew=self._length % self._settings.chunk == 0):
            return
        self.rows.list.length -= 1
        self._network.forward(self.rows.list, Draft.chain([token_id]), 1, choose=self.rows.choose)
        self.rows.list.length += 1

    def _append(self, count: int) -> None:
        self._length += count
        self.rows.list.length += count
