"""Weights by name as float32 arrays, each made when it is asked for: of safetensors files, or of a network of torch.

Files are read here and not by torch, which takes a second and 200 MB to import, and gigabytes to install; numpy alone
has no bfloat16. Start reading at ``WeightFiles``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from generation.errors import ModelLoadError

_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
_LENGTH_BYTES = 8  # of the header, which stands first

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Place:
    path: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int


class WeightFiles(Mapping[str, Array]):
    """Weights by name.

    Args:
        paths: safetensors files.

    Raises:
        ModelLoadError: a file is damaged.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._places: dict[str, _Place] = {}
        for path in paths:
            try:
                self._places |= _places_in(path)
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise ModelLoadError(f"{path} is damaged ({error}); fetch the model again") from error

    def __getitem__(self, name: str) -> Array:
        place = self._places[name]
        count = math.prod(place.shape)
        values = np.fromfile(place.path, _DTYPES[place.dtype], count, offset=place.offset).reshape(place.shape)
        if place.dtype == "BF16":  # the upper half of a float32
            return (values.astype(np.uint32) << 16).view(np.float32)
        return values.astype(np.float32, copy=False)

    def __contains__(self, name: object) -> bool:
        return name in self._places  # which reads nothing

    def are_floats(self, names: Iterable[str]) -> bool:
        """Whether those of these names that are here can be read: float32, float16 or bfloat16."""
        return all(self._places[name].dtype in _DTYPES for name in names if name in self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a weight, which is not read for it."""
        return self._places[name].shape

    def only(self, names: Iterable[str]) -> WeightFiles:
        """Those of these names."""
        found = WeightFiles(())
        found._places = {name: self._places[name] for name in names}
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class TensorWeights(Mapping[str, Array]):
    """Weights that are tensors of torch.

    Args:
        tensors: of any float type, on any device.
    """

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> Array:
        return np.ascontiguousarray(self._tensors[name].detach().float().cpu().numpy())

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def _places_in(path: Path) -> dict[str, _Place]:
    with path.open("rb") as file:
        length, size = int.from_bytes(file.read(_LENGTH_BYTES), "little"), path.stat().st_size
        if length > size:
            raise ValueError("it is none of safetensors, or cut short")
        entries: dict[str, Any] = json.loads(file.read(length))
    found = {}
    for name, entry in entries.items():
        if name != "__metadata__":
            start, end = (_LENGTH_BYTES + length + offset for offset in entry["data_offsets"])
            place = _Place(path, str(entry["dtype"]), tuple(entry["shape"]), start)
            known = _DTYPES.get(place.dtype)
            if end > size or (known and end - start != math.prod(place.shape) * known.itemsize):
                raise ValueError(f"{name} is cut short")
            found[name] = place
    return found
