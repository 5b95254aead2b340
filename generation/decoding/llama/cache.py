"""Keys and values of one sequence, in the layout of ``kernels/attention.h``. Knows no tokens.

float32, or bfloat16 (as the upper half of a float, in uint16) for int8 networks. The memory grows with the sequence.
"""

from __future__ import annotations

import numpy as np

from generation.decoding.llama import native
from generation.decoding.llama.packing import Array
from generation.decoding.llama.shape import LlamaShape

_BLOCK = 16  # slots
_SPARE_SLOTS = 256


class KVCache:
    """Slots of all layers; the first ``length`` are committed, behind them lies what was scored last."""

    def __init__(self, shape: LlamaShape, *, int8: bool) -> None:
        self._shape = shape
        self._dtype = np.uint16 if int8 else np.float32
        self.length = 0
        self._keys, self._values = self._allocate(0)

    @property
    def slots(self) -> int:
        """How many there is memory for."""
        return int(self._values.shape[2])

    @property
    def size_bytes(self) -> int:
        """Memory of all slots."""
        return int(self._keys.nbytes + self._values.nbytes)

    def reserve(self, slots: int) -> None:
        """Make room for ``slots`` in all."""
        if slots > self.slots:
            self._move(slots + max(_SPARE_SLOTS, self.slots // 4), self, self.slots)

    def copy_start(self, source: KVCache, length: int) -> None:
        """Become the first ``length`` slots of another cache."""
        self._move(length + _SPARE_SLOTS, source, length)
        self.length = length

    def blank(self) -> None:
        """Fill all slots with zeros."""
        self._keys.fill(0)
        self._values.fill(0)

    def as_argument(self) -> native.Cache:
        """What the kernels take; valid until the next ``reserve``."""
        return native.Cache(self._keys.ctypes.data, self._values.ctypes.data, self.slots, self.length)

    def _move(self, slots: int, source: KVCache, kept: int) -> None:
        keys, values = self._allocate(slots)
        blocks = -(-kept // _BLOCK)
        keys[:, :, :blocks] = source._keys[:, :, :blocks]
        values[:, :, :kept] = source._values[:, :, :kept]
        self._keys, self._values = keys, values

    def _allocate(self, slots: int) -> tuple[Array, Array]:
        shape, blocks = self._shape, -(-slots // _BLOCK)
        heads = (shape.layers, shape.key_heads)
        keys = np.empty((*heads, blocks, shape.head_size, _BLOCK), self._dtype)
        return keys, np.empty((*heads, blocks * _BLOCK, shape.head_size), self._dtype)
