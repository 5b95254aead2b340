"""A sequence longer than attention looks at: a ``Scorer`` with a chosen list.

What a token sees follows from its position and the tokens before it, never from how they were read or drafted: a list
is chosen by the token before a chunk of the prompt, or before every ``step`` tokens at its end and behind it, at
multiples of those numbers. So a draft must not reach over the next choice (``draft_room_tokens``), and the start of an
earlier prompt can be reused at ends of its chunks. Start reading at ``SelectingScorer.read``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from generation.decoding.llama.model import TreeNetwork
from generation.decoding.llama.packing import LANES
from generation.decoding.llama.scored_tree import ScoredTree
from generation.decoding.selection.long_rows import LastPrompt, LongRows
from generation.decoding.selection.settings import SelectionSettings
from generation.decoding.sequence import Stop
from generation.errors import StoppedError
from generation.types import Draft

if TYPE_CHECKING:
    from generation.interfaces import Logits


class ListNetwork(TreeNetwork, Protocol):
    """What a list is chosen for: ``gpu.network.TorchNetwork``. Rows of our own kernels choose for themselves."""

    @property
    def device(self) -> torch.device:
        """Where queries are."""

    def forward(
        self,
        cache: Any,
        draft: Draft,
        rows: int,
        stop: Stop | None = None,
        first: int = 0,
        queries: torch.Tensor | None = None,
    ) -> Logits:
        """See ``TorchNetwork.forward``."""

    def long_rows(self, settings: SelectionSettings) -> LongRows:
        """The rows of a long sequence for which a list is chosen."""


class SelectingScorer:
    """One long sequence inside a network; implements ``Scorer``.

    Args:
        network: the weights and what runs them.
        settings: of the choice.
        last: taken over, and left for the next sequence.
    """

    def __init__(self, network: ListNetwork, settings: SelectionSettings, last: LastPrompt) -> None:
        if settings.chunk % settings.step or settings.sink % LANES:
            raise ValueError(f"a chunk must be a multiple of a step, and the sink of {LANES}: {settings}")
        self._network, self._settings, self._last = network, settings, last
        self.rows = network.long_rows(settings)
        self._length = 0
        self._token_ids: list[int] = []
        self._chunk_queries: list[torch.Tensor] = []
        self._tree = ScoredTree()
        self._queries: list[torch.Tensor] = []  # of each node of the tree
        self._nodes: list[int] = []
        self._last_queries = self._empty_queries(1)[0]
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
            step = settings.chunk if self._length < whole else settings.step
            until = min(self._length + step, len(token_ids))
            try:
                logits = self._read_step(token_ids[self._length : until], stop)
            except StoppedError:
                self.close()
                raise
            if self._length <= whole:
                self._token_ids += token_ids[self._length - step : self._length]
                self._chunk_queries.append(self._last_queries)
            if self._length % settings.step == 0:
                self._choose()
        return logits

    def score(self, draft: Draft) -> Logits:
        """Logits (K, V) after each node; appends nothing. Nodes that were scored before cost nothing."""
        self._nodes = self._tree.add(draft)
        known = len(self._tree.logits)
        if known < len(self._tree):
            queries = self._empty_queries(len(self._tree) - known)
            try:
                rows = self._network.forward(
                    self.rows.list, self._tree.as_draft(), len(queries), first=known, queries=queries
                )
            except Exception:
                self._tree.drop_uncomputed()
                raise
            self._tree.logits.extend(rows)
            self._queries += queries
        return np.stack([self._tree.logits[node] for node in self._nodes])

    def remembered(self, token_ids: Sequence[int]) -> int:
        """How many tokens of a path from here were scored already."""
        return self._tree.known(token_ids)

    def keep(self, path: Sequence[int]) -> None:
        """Append nodes of the draft scored last, from a root downwards; choose anew behind the end of a step."""
        before = self._length // self._settings.step
        order = self._tree.commit([self._nodes[node] for node in path])
        self._network.keep(self.rows.list, order)
        self._last_queries = self._queries[order[len(path) - 1]]
        self._queries = [self._queries[node] for node in order[len(path) :]]
        self._length += len(path)
        self.rows.list.length += len(path)
        if self._length // self._settings.step > before:
            self._tree, self._queries = ScoredTree(), []
            self._choose()

    def close(self) -> None:
        """Leave whole chunks of the prompt to prompts that start in the same way."""
        self._last.token_ids, self._last.rows, self._last.queries = self._token_ids, self.rows, self._chunk_queries

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
        self._token_ids, self._chunk_queries = list(token_ids[:shared]), last.queries[: shared // chunk]
        self._last_queries = self._chunk_queries[-1]
        self._choose()

    def _read_step(self, token_ids: Sequence[int], stop: Stop | None) -> Logits:
        logits = np.empty(0, np.float32)
        for start in range(0, len(token_ids), self.rows.read_tokens):
            part = token_ids[start : start + self.rows.read_tokens]
            queries = self._empty_queries(len(part))
            logits = self._network.forward(self.rows.list, Draft.chain(part), 1, stop, queries=queries)[-1]
            self.rows.list.length += len(part)
            self._length += len(part)
            self._last_queries = queries[-1].clone()
        return logits

    def _choose(self) -> None:
        self.rows.renew(self._last_queries, anew=self._length % self._settings.chunk == 0)

    def _empty_queries(self, count: int) -> torch.Tensor:
        shape = self._network.shape
        return torch.empty((count, shape.layers, shape.heads * shape.head_size), device=self._network.device)
