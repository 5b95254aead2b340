"""Three ways to score a tree of tokens with a transformers model, and the probe that finds the fastest right one.

``TreeScorer``       one forward for the whole tree, by a 4-D mask; needs a model that respects the mask.
``ChainScorer``      one forward for each path from a root to a leaf; needs a KV cache that can drop rows.
``RecomputeScorer``  one forward over the whole sequence for each path; needs nothing, and is what the probe believes.

Knows nothing of texts, contexts or tokenizers. Start reading at ``fitting_scorer``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from generation.decoding.sequence import ANY_TOKENS, Scorer, Stop, check_stop, node_depths
from generation.decoding.through_transformers.kv_rows import KVRows
from generation.errors import ModelLoadError
from generation.types import Draft

if TYPE_CHECKING:
    from generation.interfaces import Logits

_PREFILL_TOKENS = 256  # read in one forward; bounds the memory of attention and activations
_PROBE_PROMPT = (1, 2, 3, 4)  # ids that every vocabulary has
_PROBE_TREE = Draft(token_ids=(5, 6, 7, 8, 9, 10), parents=(-1, 0, -1, 2, 3, 4))


class TreeScorer:
    """Scores a tree in one forward: each node attends the sequence, its ancestors and itself."""

    reused_tokens = 0

    def __init__(self, network: Any) -> None:
        self._network = network
        self._rows = KVRows()

    def read(self, token_ids: Sequence[int], stop: Stop | None = None) -> Logits:
        """See ``Scorer``."""
        logits = np.empty(0, np.float32)
        for start in range(0, len(token_ids), _PREFILL_TOKENS):
            check_stop(stop)
            chunk = Draft.chain(token_ids[start : start + _PREFILL_TOKENS])
            logits = self._forward(chunk, logits_to_keep=1)[-1]
            self._rows.keep(range(len(chunk)))
        return logits

    def score(self, draft: Draft) -> Logits:
        """See ``Scorer``."""
        return self._forward(draft, logits_to_keep=len(draft))

    def keep(self, path: Sequence[int]) -> None:
        """See ``Scorer``."""
        self._rows.keep(path)

    draft_room_tokens = ANY_TOKENS

    def remembered(self, _: Sequence[int]) -> None:
        """See ``Scorer``."""

    def close(self) -> None:
        """See ``Scorer``; the memory goes with the object."""

    def _forward(self, draft: Draft, logits_to_keep: int) -> Logits:
        is_chain = draft.parents == tuple(range(-1, len(draft) - 1))
        length = self._rows.length
        return _logits(
            self._network,
            draft.token_ids,
            logits_to_keep,
            position_ids=torch.tensor([[length + depth for depth in node_depths(draft)]]),
            attention_mask=None if is_chain else _tree_mask(draft, length, self._network.dtype),
            past_key_values=self._rows,
            use_cache=True,
        )


class ChainScorer:
    """Scores the paths of a tree one after the other, for models that do not take a mask."""

    reused_tokens = 0

    def __init__(self, network: Any) -> None:
        self._chains = TreeScorer(network)
        self._draft = Draft((), ())
        self._written: list[int] = []  # the path whose rows the cache holds

    def read(self, token_ids: Sequence[int], stop: Stop | None = None) -> Logits:
        """See ``Scorer``."""
        return self._chains.read(token_ids, stop)

    def score(self, draft: Draft) -> Logits:
        """See ``Scorer``."""
        self._draft = draft
        return _by_paths(draft, self._score_path)

    def keep(self, path: Sequence[int]) -> None:
        """See ``Scorer``. A path whose rows were overwritten by another path costs a forward."""
        if list(path) != self._written[: len(path)]:
            self._score_path(list(path))
        self._chains.keep(range(len(path)))

    draft_room_tokens = ANY_TOKENS

    def remembered(self, _: Sequence[int]) -> None:
        """See ``Scorer``."""

    def close(self) -> None:
        """See ``Scorer``; the memory goes with the object."""

    def _score_path(self, path: list[int]) -> Logits:
        self._written = path
        return self._chains.score(_path_draft(self._draft, path))


class RecomputeScorer:
    """Reads the whole sequence again for each path; right for every causal model."""

    reused_tokens = 0

    def __init__(self, network: Any, token_ids: Sequence[int] = ()) -> None:
        self._network = network
        self._token_ids = list(token_ids)
        self._draft = Draft((), ())

    def read(self, token_ids: Sequence[int], stop: Stop | None = None) -> Logits:
        """See ``Scorer``."""
        check_stop(stop)
        self._token_ids += token_ids
        logits: Logits = _logits(self._network, self._token_ids, 1, use_cache=False)[-1]
        return logits

    def score(self, draft: Draft) -> Logits:
        """See ``Scorer``."""
        self._draft = draft
        return _by_paths(draft, self._score_path)

    def keep(self, path: Sequence[int]) -> None:
        """See ``Scorer``."""
        self._token_ids += [self._draft.token_ids[node] for node in path]

    draft_room_tokens = ANY_TOKENS

    def remembered(self, _: Sequence[int]) -> None:
        """See ``Scorer``."""

    def close(self) -> None:
        """See ``Scorer``; the memory goes with the object."""

    def _score_path(self, path: list[int]) -> Logits:
        tail = [self._draft.token_ids[node] for node in path]
        return _logits(self._network, self._token_ids + tail, len(tail), use_cache=False)


def fitting_scorer(network: Any) -> Callable[[], Scorer]:
    """What makes the fastest scorer that agrees with ``RecomputeScorer`` on a small tree.

    Raises:
        ModelLoadError: the model cannot even be run on a few tokens.
    """
    try:
        truth = RecomputeScorer(network, _PROBE_PROMPT).score(_PROBE_TREE)
    except Exception as error:
        raise ModelLoadError(f"{type(network).__name__} cannot be run on text alone: {error}") from error
    for kind in (TreeScorer, ChainScorer):
        if _agrees(kind(network), network, truth):
            return lambda: kind(network)
    return lambda: RecomputeScorer(network)


def _agrees(scorer: Scorer, network: Any, truth: Logits) -> bool:
    try:
        found = _probed(scorer)
    except Exception:  # noqa: BLE001  a cache of another kind fails inside the model in its own way
        return False
    tolerance = 0.02 if network.dtype == torch.float32 else 0.25  # rounding grows with depth; a wrong mask exceeds it
    return bool(np.abs(found - truth).max() <= tolerance * truth.std())


def _probed(scorer: Scorer) -> Logits:
    """Logits of ``_PROBE_TREE``, the end of its second branch scored after its start was kept."""
    scorer.read(_PROBE_PROMPT)
    both_branches = scorer.score(Draft(_PROBE_TREE.token_ids[:4], _PROBE_TREE.parents[:4]))
    scorer.keep([2, 3])
    return np.concatenate([both_branches, scorer.score(Draft.chain(_PROBE_TREE.token_ids[4:]))])


def _logits(network: Any, token_ids: Sequence[int], rows: int, **inputs: Any) -> Logits:
    """One forward over one sequence; the logits (rows, V) of its last ``rows`` tokens."""
    offered = {"logits_to_keep": rows, **inputs}
    taken = inspect.signature(network.forward).parameters
    with torch.inference_mode():
        output = network(
            input_ids=torch.tensor([list(token_ids)]),
            **{name: value for name, value in offered.items() if name in taken},
        )
    logits: torch.Tensor = output.logits[0, -rows:]
    return np.asarray(logits.float().numpy())


def _tree_mask(draft: Draft, length: int, dtype: torch.dtype) -> torch.Tensor:
    """Additive mask (1, 1, K, S + K): 0 where a node may look, the smallest number elsewhere."""
    visible = torch.eye(len(draft), dtype=torch.bool)
    for node, parent in enumerate(draft.parents):
        if parent >= 0:
            visible[node] |= visible[parent]
    mask = torch.zeros((1, 1, len(draft), length + len(draft)), dtype=dtype)
    mask[0, 0, :, length:].masked_fill_(~visible, torch.finfo(dtype).min)
    return mask


def _by_paths(draft: Draft, score_path: Callable[[list[int]], Logits]) -> Logits:
    """Logits (K, V) of a tree from those (path length, V) of its root-to-leaf paths."""
    rows: dict[int, Logits] = {}
    for path in _leaf_paths(draft):
        rows.update(zip(path, score_path(path), strict=True))
    return np.stack([rows[node] for node in range(len(draft))])


def _leaf_paths(draft: Draft) -> list[list[int]]:
    leaves = sorted(set(range(len(draft))) - set(draft.parents))
    return [_path_to(draft, leaf) for leaf in leaves]


def _path_to(draft: Draft, node: int) -> list[int]:
    path: list[int] = []
    while node >= 0:
        path.append(node)
        node = draft.parents[node]
    return path[::-1]


def _path_draft(draft: Draft, path: Sequence[int]) -> Draft:
    return Draft.chain([draft.token_ids[node] for node in path])
