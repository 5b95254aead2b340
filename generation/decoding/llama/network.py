"""A network of the Llama family on our own kernels: weights, threads, one forward over trees of several sequences.

Every row of logits depends on its own tokens only, bit by bit, whatever else is scored in the same forward. Start
reading at ``Network.forward``.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from generation.decoding.llama import native
from generation.decoding.llama.cache import KVCache
from generation.decoding.llama.packing import PackedWeights
from generation.decoding.selection.settings import RowChoice
from generation.decoding.sequence import Stop
from generation.decoding.step_costs import MOST_ROWS, Forward
from generation.decoding.weight_files import Array
from generation.errors import StoppedError
from generation.types import Draft

if TYPE_CHECKING:
    from generation.interfaces import Logits

_READ_TOKENS = 96  # of a prompt in one forward: enough rows to use each weight well
_BESIDE = 2  # forwards at a time, where sequences share the weights: one may read a prompt
_MATRICES = ("qkv", "attention_out", "gate_up", "down")
_NORMS = ("attention_norm", "mlp_norm", "query_norm", "key_norm")


@dataclass(frozen=True, slots=True)
class Scoring:
    """A tree to run behind the committed slots of a cache of the same network, as ``Network.forward`` takes it."""

    cache: Any
    draft: Draft
    rows: int
    first: int = 0

    def as_argument(self) -> native.Tree:
        """What the kernels take."""
        ids, parents = _ints(self.draft.token_ids), _ints(self.draft.parents)
        return native.Tree(len(self.draft), self.first, ids, parents, self.rows)


class Network:
    """The kernels with one set of weights. One thread calls it.

    Args:
        weights: packed for the kernels.
        kernels: that run them.
        threads: of one forward.
        choice: what rows of long sequences see; None everything.
    """

    read_tokens = _READ_TOKENS

    def __init__(
        self, weights: PackedWeights, kernels: native.Kernels, threads: int, choice: RowChoice | None = None
    ) -> None:
        self.weights = weights
        self._choice = choice
        self.shape = weights.shape
        self._threads = threads
        self._kernels = kernels
        self.library = kernels.library
        self._handle = self._create(threads)
        weakref.finalize(self, kernels.library.memberwise_destroy, self._handle)
        self._prompt_tokens: Array = np.empty((0, self.shape.hidden), np.float32)
        self._rotary: tuple[Array, Array] = (np.empty(0, np.float32), np.empty(0, np.float32))

    def forward(
        self,
        cache: KVCache,
        draft: Draft,
        rows: int,
        stop: Stop | None = None,
        first: int = 0,
    ) -> Logits:
        """Run a tree behind the committed slots of ``cache``; logits (rows, V) of its last ``rows`` nodes.

        Args:
            cache: its length stays; the slots of the tree are written.
            draft: the tree, at least one node.
            rows: how many nodes need logits.
            stop: asked in every layer.
            first: the first node to compute; those before it lie in their slots already.

        Raises:
            StoppedError: ``stop`` returned true; the cache is as it was.
        """
        return self.forward_together([Scoring(cache, draft, rows, first)], stop)[0]

    def forward_together(self, scorings: Sequence[Scoring], stop: Stop | None = None) -> list[Logits]:
        """Run a tree of each of several sequences in one forward; the logits of each, as ``forward`` gives them."""
        for one in scorings:
            self.check(one.draft)
            one.cache.reserve(one.cache.length + len(one.draft))
        cosines, sines = self.rotary_tables(max(one.cache.length + len(one.draft) for one in scorings))
        rows = [one.rows for one in scorings]
        logits = np.empty((sum(rows), self.weights.shape.vocabulary), np.float32)
        callback = native.STOP(stop) if stop else None
        stopped = self.library.memberwise_forward(
            self._handle,
            (native.Cache * len(scorings))(*(one.cache.as_argument() for one in scorings)),
            (native.Tree * len(scorings))(*(one.as_argument() for one in scorings)),
            len(scorings),
            cosines.ctypes.data,
            sines.ctypes.data,
            logits.ctypes.data,
            ctypes.cast(callback, ctypes.c_void_p) if callback else None,
        )
        if stopped:
            raise StoppedError("stopped while a prompt was read")
        return np.split(logits, np.cumsum(rows[:-1])) if len(rows) > 1 else [logits]

    def check(self, draft: Draft) -> None:
        """Refuse what would be read from outside of the embedding.

        Raises:
            ValueError: a token is none of the vocabulary, or there is none.
        """
        if not draft.token_ids:
            raise ValueError("a draft has at least one node")
        known = self.weights.shape.vocabulary + len(self._prompt_tokens)
        if not all(0 <= token_id < known for token_id in draft.token_ids):
            raise ValueError(f"not tokens of a vocabulary of {self.weights.shape.vocabulary}: {draft.token_ids}")

    def set_prompt_tokens(self, embeddings: Array) -> None:
        """Give ids behind the vocabulary to embeddings (count, hidden) of prompt tokens."""
        self._prompt_tokens = np.ascontiguousarray(embeddings, np.float32)
        self.library.memberwise_prompt_tokens(self._handle, self._prompt_tokens.ctypes.data)

    def new_cache(self) -> KVCache:
        """An empty cache for one sequence."""
        choice = native.Choice(**asdict(self._choice)) if self._choice else None
        numbers = self.library.memberwise_block_numbers(ctypes.byref(self.sizes()))
        return KVCache(self.weights.shape, int8=self.weights.int8, block_numbers=numbers, choice=choice)

    def beside(self) -> Sequence[Network]:
        """Two with half of the threads each; itself where it has but one thread."""
        if self._threads < _BESIDE:
            return [self]
        threads = self._threads // _BESIDE
        return [Network(self.weights, self._kernels, threads, self._choice) for _ in range(_BESIDE)]

    def blank_forward(self) -> Forward:
        """Runs a number of rows behind a number of tokens that are all zeros, to see how long that takes."""
        cache = self.new_cache()

        def forward(rows: int, context_tokens: int) -> Logits:
            if cache.slots < context_tokens + rows:
                cache.reserve(context_tokens + MOST_ROWS)
                cache.blank()
            cache.length = context_tokens
            return self.forward(cache, Draft.chain([0] * rows), rows)

        return forward

    def times_ms(self) -> dict[str, float]:
        """Milliseconds of each part of all forwards since the last call."""
        found = np.zeros(len(native.STEP_PARTS))
        self.library.memberwise_times(self._handle, found.ctypes.data)
        return dict(zip(native.STEP_PARTS, found.tolist(), strict=True))

    def keep(self, cache: KVCache, path: Sequence[int]) -> None:
        """Move slots of nodes, as increasing indices into the tree that was run last, behind the committed ones."""
        self.library.memberwise_keep(self._handle, ctypes.byref(cache.as_argument()), _ints(path), len(path))

    def _create(self, threads: int) -> int:
        shape, arrays, sizes = self.weights.shape, self.weights.arrays, self.sizes()
        layers = (native.Layer * shape.layers)(*map(self._layer, range(shape.layers)))
        embedding = self._matrix("embedding", shape.vocabulary, shape.hidden)
        head = self._matrix("head", shape.vocabulary, shape.hidden) if "head.data" in arrays else embedding
        ends = (ctypes.byref(embedding), ctypes.byref(head), _address(arrays["final_norm"]))
        handle: int = self.library.memberwise_create(ctypes.byref(sizes), layers, *ends, threads)
        return handle

    def sizes(self) -> native.Shape:
        """As the kernels take them."""
        shape = self.weights.shape
        return native.Shape(
            shape.layers, shape.hidden, shape.heads, shape.key_heads, shape.head_size, shape.intermediate,
            shape.vocabulary, int(self.weights.int8), shape.norm_epsilon,
        )  # fmt: skip

    def _layer(self, number: int) -> native.Layer:
        shape, prefix = self.weights.shape, f"layers.{number}."
        queries = shape.heads * shape.head_size
        sizes = (
            (shape.qkv_channels, shape.hidden), (shape.hidden, queries),
            (2 * shape.intermediate, shape.hidden), (shape.hidden, shape.intermediate),
        )  # fmt: skip
        matrices = (self._matrix(prefix + name, *size) for name, size in zip(_MATRICES, sizes, strict=True))
        return native.Layer(*matrices, *(_address(self.weights.arrays.get(prefix + name)) for name in _NORMS))

    def _matrix(self, name: str, channels: int, columns: int) -> native.Matrix:
        data, scale, bias = (_address(self.weights.arrays.get(f"{name}.{part}")) for part in ("data", "scale", "bias"))
        return native.Matrix(data, scale, bias, channels, columns)

    def rotary_tables(self, positions: int) -> tuple[Array, Array]:
        """Cosines and sines (positions or more, head size / 2), float32; they grow with the longest sequence.

        Angles are rounded within the length that the model was trained for, as they were in training; behind it that
        would be too coarse.
        """
        if len(self._rotary[0]) < positions:
            *frequencies, factor = self.weights.arrays["rotary"].astype(np.float64)
            trained, count = self.shape.context_tokens, max(positions, 2 * len(self._rotary[0]))
            angles = np.outer(np.arange(count), frequencies)
            angles[:trained] = angles[:trained].astype(np.float32)
            cosines, sines = ((function(angles) * factor).astype(np.float32) for function in (np.cos, np.sin))
            self._rotary = (cosines, sines)
        return self._rotary


def _ints(values: Sequence[int]) -> ctypes.Array[ctypes.c_int32]:
    return (ctypes.c_int32 * len(values))(*values)


def _address(array: Array | None) -> int | None:
    return None if array is None else array.ctypes.data
