"""A network of the Llama family behind the ``LanguageModel`` protocol.

``LlamaModel`` is made of a network: ``network.Network`` runs our own kernels, ``gpu.network.TorchNetwork`` a GPU.
``LlamaScorer`` is one sequence of it, whose bookkeeping and checks ``SequenceState`` shares with the other models.
Knows nothing of text, sampling or files. Start reading at ``LlamaModel.start``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from generation.decoding.drafts.prompt_tokens import PromptTokens
from generation.decoding.llama.network import Scoring
from generation.decoding.llama.parallel_prompt import ParallelPrompt
from generation.decoding.llama.prefix_cache import PrefixCache, Slots
from generation.decoding.llama.scored_tree import ScoredTree
from generation.decoding.llama.shape import LlamaShape
from generation.decoding.selection.settings import LongContexts
from generation.decoding.sequence import ANY_TOKENS, Scorer, SequenceState, Stop, check_prompt
from generation.decoding.step_costs import Forward, known_costs
from generation.errors import CapacityError, StoppedError
from generation.interfaces import LanguageModel, Tokenizer
from generation.types import Draft

if TYPE_CHECKING:
    from generation.decoding.selection.scorer import LastPrompt
    from generation.decoding.weight_files import Array
    from generation.interfaces import Logits

_COST_CONTEXTS = (64, 1024)  # tokens behind which forwards are timed


class LlamaModel:
    """A network and a tokenizer; implements ``LanguageModel``.

    Args:
        network: the weights and what runs them.
        tokenizer: the tokenizer the weights were trained with.
        name: how reports call the model.
        prefix_bytes: memory for sequences that have ended, whose starts later prompts may share; None is 128 MB, and
            512 for several threads.
        costs_key: tells weights, processor and threads apart, for what was measured of them; None measures nothing.
        long: how long a sequence may be, and when attention sees a chosen part of it; None never.
    """

    def __init__(
        self,
        network: TreeNetwork,
        tokenizer: Tokenizer,
        name: str,
        prefix_bytes: int | None = None,
        costs_key: str | None = None,
        long: LongContexts | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._name = name
        self.network = network
        self.long = long or LongContexts()
        self._last_prompt: LastPrompt | None = None
        self._has_usual_prefixes = prefix_bytes is None
        self.prefixes = PrefixCache(network.new_cache, 128 << 20 if prefix_bytes is None else prefix_bytes)
        self.step_costs = known_costs(costs_key, network.blank_forward(), _COST_CONTEXTS) if costs_key else None
        self.parallel_prompt: ParallelPrompt | None = None

    def use_prompt_tokens(self, trained: PromptTokens, *, forced: bool = False) -> None:
        """Draft with trained prompt tokens, where rows of a forward are cheap enough for that to pay, or ``forced``."""
        if self.step_costs is None:
            return
        found = ParallelPrompt(trained, self.network.shape.vocabulary, self.step_costs, forced=forced)
        if found.depth:
            self.network.set_prompt_tokens(trained.embeddings)
            self.parallel_prompt = found

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer these weights were trained with."""
        return self._tokenizer

    @property
    def name(self) -> str:
        """How records and reports call this model."""
        return self._name

    @property
    def context_tokens(self) -> int:
        """Longest sequence."""
        return self.long.context_tokens or self.network.shape.context_tokens

    def shared(self) -> LanguageModel:
        """The same for several threads, a sequence each; this one is not used meanwhile."""
        from generation.decoding.llama.together import TogetherModel

        if self._has_usual_prefixes:
            self.prefixes.capacity_bytes = 512 << 20
        return TogetherModel(self)

    def start(self, prompt_ids: Sequence[int], stop: Stop | None = None) -> SequenceState:
        """Read a prompt, as far as no sequence that has ended starts in the same way.

        Args:
            prompt_ids: at least one token.
            stop: asked again and again.

        Raises:
            CapacityError: the prompt does not fit into the context.
            StoppedError: ``stop`` returned true; what was read is kept for the next prompt.
            ValueError: the prompt is empty.
        """
        check_prompt(prompt_ids, self.context_tokens, self._name)
        return SequenceState(self._scorer(len(prompt_ids)), prompt_ids, self.context_tokens, stop)

    def selects(self, prompt_tokens: int) -> bool:
        """Whether attention sees a chosen list of a prompt of so many tokens."""
        return self.long.select_from is not None and prompt_tokens > self.long.select_from

    def _scorer(self, prompt_tokens: int) -> Scorer:
        if not self.selects(prompt_tokens):
            return LlamaScorer(self.network, self.prefixes, self.parallel_prompt)
        from generation.decoding.selection.scorer import LastPrompt, ListNetwork, SelectingScorer

        self._last_prompt = self._last_prompt or LastPrompt()
        network = cast("ListNetwork", self.network)  # who asks for lists has one
        return SelectingScorer(network, self.long.settings, self._last_prompt)


class Forwards(Protocol):
    """What a sequence needs of a network: ``TreeNetwork``, or one that several sequences share."""

    @property
    def read_tokens(self) -> int:
        """How many tokens of a prompt are read in one forward: what uses each weight well, and a cancel throws away."""

    def forward(self, cache: Any, draft: Draft, rows: int, stop: Stop | None = None, first: int = 0) -> Logits:
        """See ``Network.forward``; ``cache`` is of this network."""

    def keep(self, cache: Any, path: Sequence[int]) -> None:
        """See ``Network.keep``."""


class TreeNetwork(Forwards, Protocol):
    """What a model needs of a network: ``Network``, or ``gpu.network.TorchNetwork``. One thread calls it."""

    @property
    def shape(self) -> LlamaShape:
        """Its sizes."""

    def forward_together(self, scorings: Sequence[Scoring], stop: Stop | None = None) -> list[Logits]:
        """See ``Network.forward_together``."""

    def beside(self) -> Sequence[TreeNetwork]:
        """Networks of the same weights that run at the same time, with their threads divided; they share caches."""

    def check(self, draft: Draft) -> None:
        """See ``Network.check``."""

    def set_prompt_tokens(self, embeddings: Array) -> None:
        """See ``Network.set_prompt_tokens``."""

    def new_cache(self) -> Slots:
        """An empty cache for one sequence."""

    def blank_forward(self) -> Forward:
        """See ``Network.blank_forward``."""


class LlamaScorer:
    """One sequence inside a network; implements ``Scorer``."""

    def __init__(self, network: Forwards, prefixes: PrefixCache, parallel_prompt: ParallelPrompt | None = None) -> None:
        self._network = network
        self._parallel_prompt = parallel_prompt
        self._prefixes = prefixes
        self._cache = prefixes.new_cache()
        self._token_ids: list[int] = []
        self._tree = ScoredTree()
        self._nodes: list[int] = []  # where the nodes of the draft scored last are in the tree
        self.reused_tokens = 0

    def read(self, token_ids: Sequence[int], stop: Stop | None = None) -> Logits:
        """Take what is known of a prompt, which must come first, and append the rest; logits (V,) after the last."""
        self._cache = self._prefixes.take(token_ids)
        self.reused_tokens = self._cache.length
        self._token_ids = list(token_ids[: self.reused_tokens])
        self._cache.reserve(len(token_ids))  # at once, for what is there is copied whenever it grows
        logits: Logits = np.empty((1, 0), np.float32)
        for start in range(self.reused_tokens, len(token_ids), self._network.read_tokens):
            chunk = token_ids[start : start + self._network.read_tokens]
            wanted = 1 if start + len(chunk) == len(token_ids) else 0
            try:
                logits = self._network.forward(self._cache, Draft.chain(chunk), wanted, stop)
            except StoppedError:
                self.close()
                raise
            self._append(chunk)
        last: Logits = logits[-1]
        return last

    def score(self, draft: Draft) -> Logits:
        """Logits (K, V) after each node; appends nothing. Nodes that were scored before cost nothing."""
        self._nodes = self._tree.add(draft)
        known = len(self._tree.logits)
        if known < len(self._tree):
            if self._parallel_prompt is not None:
                self._parallel_prompt.stand_behind(self._tree, known)
            try:
                rows = self._network.forward(self._cache, self._tree.as_draft(), len(self._tree) - known, first=known)
            except Exception:
                self._tree.drop_uncomputed()
                raise
            self._tree.logits.extend(rows)
            if self._parallel_prompt is not None:
                self._parallel_prompt.note(self._token_ids, self._tree, known)
            if known == 0 and self._nodes == list(range(len(rows))):
                return rows
        return self._tree.rows(self._nodes)

    @property
    def draft_room_tokens(self) -> int:
        """A row depends on its own tokens only."""
        return ANY_TOKENS

    def remembered(self, token_ids: Sequence[int]) -> int:
        """How many tokens of a path from here were scored already."""
        return self._tree.known(token_ids)

    def keep(self, path: Sequence[int]) -> None:
        """Append nodes of the draft scored last, from a root downwards."""
        nodes = [self._nodes[node] for node in path]
        token_ids = [self._tree.token_ids[node] for node in nodes]
        self._network.keep(self._cache, self._tree.commit(nodes))
        self._append(token_ids)

    def close(self) -> None:
        """Leave the sequence to prompts that start in the same way."""
        self._prefixes.give(self._token_ids, self._cache)

    def share(self) -> None:
        """Leave a copy of the sequence, if there is room, to prompts that start in the same way; this one goes on."""
        copy = self._prefixes.new_cache()
        with suppress(CapacityError):
            copy.copy_start(self._cache, self._cache.length)
            self._prefixes.give(self._token_ids, copy)

    def _append(self, token_ids: Sequence[int]) -> None:
        self._token_ids += token_ids
        self._cache.length = len(self._token_ids)
