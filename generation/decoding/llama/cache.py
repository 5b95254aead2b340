"""Keys and values of one sequence, in the layout of ``kernels/cache.h``. Knows no tokens.

float32, or 16 bits a number for int8 networks. Where rows choose what they see, a quarter of each key lies there a
second time in int8, to be looked through. The memory grows with the sequence.
"""

from __future__ import annotations

import ctypes

import numpy as np

from generation.decoding.llama import native
from generation.decoding.llama.shape import LlamaShape
from generation.decoding.weight_files import Array

_BLOCK = 16  # slots
_SPARE_SLOTS = 256


class KVCache:
    """Slots of all layers; the first ``length`` are committed, behind them lies what was scored last.

    Args:
        shape: of the network.
        int8: whether the network is.
        block_numbers: how many numbers the kernels keep for a block of keys, or of values, of one key head.
        choice: what rows see of it; None everything.
    """

    def __init__(
        self, shape: LlamaShape, *, int8: bool, block_numbers: int, choice: native.Choice | None = None
    ) -> None:
        self._shape = shape
        self._block_numbers = block_numbers
        self._choice = choice
        self._dtype = np.uint16 if int8 else np.float32
        self.length = 0
        self._take(self._allocate(0))

    @property
    def slots(self) -> int:
        """How many there is memory for."""
        return int(self._arrays[0].shape[2]) * _BLOCK

    @property
    def size_bytes(self) -> int:
        """Memory of all slots."""
        return sum(int(array.nbytes) for array in self._arrays)

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
        for array in self._arrays:
            array.fill(0)

    def as_argument(self) -> native.Cache:
        """What the kernels take; valid until the next ``reserve``."""
        keys, values, *codes = self._addresses
        choice = ctypes.pointer(self._choice) if self._choice else None
        return native.Cache(keys, values, self.slots, self.length, choice, *codes)

    def _move(self, slots: int, source: KVCache, kept: int) -> None:
        arrays, blocks = self._allocate(slots), -(-kept // _BLOCK)
        for array, theirs in zip(arrays, source._arrays, strict=True):
            array[:, :, :blocks] = theirs[:, :, :blocks]
        self._take(arrays)

    def _take(self, arrays: list[Array]) -> None:
        self._arrays = arrays
        self._addresses = [array.ctypes.data for array in arrays]  # numpy takes its time, and every forward asks

    def _allocate(self, slots: int) -> list[Array]:
        """Keys, values, and where rows choose keys in int8 and their scales: each (layers, key heads, blocks, any).

        Zeros, for what is not seen has the weight 0, and 0 times what memory happens to hold may be no number.
        """
        shape = self._shape
        blocks = (shape.layers, shape.key_heads, -(-slots // _BLOCK))
        arrays = [np.zeros((*blocks, self._block_numbers), self._dtype) for _ in range(2)]
        if self._choice:
            code_size = -(-shape.head_size // 32) * 8
            arrays += [np.zeros((*blocks, code_size * _BLOCK), np.uint8), np.zeros((*blocks, _BLOCK), np.float32)]
        return arrays
