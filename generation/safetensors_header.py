"""What a safetensors file says of itself; its data is not read. Start reading at ``read_header``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

METADATA = "__metadata__"  # an entry that is no tensor
_LENGTH_BYTES = 8  # of the header, which stands first


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The entries by name, and the offset in the file that their ``data_offsets`` count from.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file, or cut short.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if length > path.stat().st_size:
            raise ValueError("it is none of safetensors, or cut short")
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("it is none of safetensors")  # noqa: TRY004 - what is in a file is a value
    return header, _LENGTH_BYTES + length
