"""Weights by name as float32 arrays, each made when it is asked for: of safetensors files, or of a network of torch.

Files are read here and not by torch, which takes a second and 200 MB to import, and gigabytes to install; numpy alone
has no bfloat16. Start reading at ``WeightFiles``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from generation.errors import ModelLoadError
from generation.safetensors_header import METADATA, read_header

_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Place:
    path: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int


class Weights(Mapping[str, Array]):
    """Weights by name; which there are is known without making one.

    Args:
        known: has their names as keys.
    """

    def __init__(self, known: Mapping[str, Any]) -> None:
        self._known = known

    def __contains__(self, name: object) -> bool:
        return name in self._known  # a mapping would ask for the weight

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


class WeightFiles(Weights):
    """Those of safetensors files.

    Args:
        paths: of the files.

    Raises:
        ModelLoadError: a file is damaged.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._places: dict[str, _Place] = {}
        super().__init__(self._places)
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

    def are_floats(self, names: Iterable[str]) -> bool:
        """Whether those of these names that are here can be read: float32, float16 or bfloat16."""
        return all(self._places[name].dtype in _DTYPES for name in names if name in self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a weight, which is not read for it."""
        return self._places[name].shape

    def only(self, names: Iterable[str]) -> WeightFiles:
        """Those of these names."""
        found = WeightFiles(())
        found._places.update((name, self._places[name]) for name in names)
        return found


class TensorWeights(Weights):
    """Those that are tensors of torch.

    Args:
        tensors: of any float type, on any device.
    """

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        super().__init__(tensors)

    def __getitem__(self, name: str) -> Array:
        return np.ascontiguousarray(self._known[name].detach().float().cpu().numpy())


def _places_in(path: Path) -> dict[str, _Place]:
    header, first = read_header(path)
    size, found = path.stat().st_size, {}
    for name, entry in header.items():
        if name != METADATA:
            start, end = (first + offset for offset in entry["data_offsets"])
            place = _Place(path, str(entry["dtype"]), tuple(entry["shape"]), start)
            known = _DTYPES.get(place.dtype)
            if end > size or (known and end - start != math.prod(place.shape) * known.itemsize):
                raise ValueError(f"{name} is cut short")
            found[name] = place
    return found
