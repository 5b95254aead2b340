"""The KV cache of one sequence: rows that are written by a forward and kept, or not, afterwards.

transformers' own dynamic cache appends by copying everything in every layer, and cannot keep a branch of a tree. Here
each layer owns a buffer with spare capacity; a forward writes behind the kept rows, and ``keep`` moves the rows of the
chosen path together. Knows nothing of tokens. Start reading at ``KVRows.keep``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

_SPARE_ROWS = 256


class _LayerRows(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """Keys and values (1, G, capacity, D) of one layer, of which the first ``length`` rows are kept."""

    is_sliding = False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.length = 0
        self._buffers: tuple[torch.Tensor, torch.Tensor] | None = None

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Take shape and type of the first rows."""
        self._buffers = (key_states[:, :, :0], value_states[:, :, :0])
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write T rows behind the kept ones; all rows that may be attended, as views."""
        end = self.length + key_states.shape[2]
        old_keys, old_values = self._buffers or (key_states[:, :, :0], value_states[:, :, :0])
        keys, values = _with_room(old_keys, self.length, end), _with_room(old_values, self.length, end)
        keys[:, :, self.length : end] = key_states
        values[:, :, self.length : end] = value_states
        self._buffers = (keys, values)
        return keys[:, :, :end], values[:, :, :end]

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these of the rows written last, in this order."""
        end = self.length + len(rows)
        if list(rows) != list(range(len(rows))):
            for buffer in self._buffers or ():
                buffer[:, :, self.length : end] = buffer[:, :, [self.length + row for row in rows]]
        self.length = end

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Number of rows that T new tokens can attend, and where they start."""
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        """Number of kept rows."""
        return self.length

    def get_max_length(self) -> int:
        """No bound (-1): the buffer grows."""
        return -1


class KVRows(Cache):
    """The rows of all layers. Written by the model's forward, one sequence, one thread."""

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=_LayerRows)

    @property
    def length(self) -> int:
        """Number of kept rows."""
        return self._own_layers[0].length if self.layers else 0

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """Keep these of the rows that the last forward wrote, as indices into them; the others are dropped."""
        for layer in self._own_layers:
            layer.keep(rows)

    @property
    def _own_layers(self) -> list[_LayerRows]:
        return cast("list[_LayerRows]", self.layers)


def _with_room(buffer: torch.Tensor, kept: int, needed: int) -> torch.Tensor:
    """``buffer``, or a larger one with its first ``kept`` rows; doubling keeps copying rare."""
    capacity = buffer.shape[2]
    if needed <= capacity:
        return buffer
    larger = buffer.new_empty((*buffer.shape[:2], max(2 * capacity, needed + _SPARE_ROWS), buffer.shape[3]))
    larger[:, :, :kept] = buffer[:, :, :kept]
    return larger
