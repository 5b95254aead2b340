"""Weights are packed in a process of its own, so that what torch takes for it is given back.

It fails in silence: whoever finds no packed weights then packs them itself, and says what is wrong. Start reading at
``pack_apart``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from generation.interfaces import ReportShare

_SHARE = "packed "  # what a line of progress starts with; libraries write what they like


def pack_apart(path: Path, dtype: str, adapter: Path | None, report: ReportShare) -> None:
    """Leave the weights of a model folder, with an adapter added, in the user's cache; perhaps nothing.

    Args:
        path: the model's folder.
        dtype: of packed weights.
        adapter: its folder.
        report: is told how far it is.
    """
    command = [sys.executable, "-P", "-m", __name__, str(path), dtype, *([str(adapter)] if adapter else [])]
    try:
        # What this process finds, the other finds, but in the working directory, which may hold somebody's torch.py.
        folders = os.pathsep.join(folder for folder in sys.path if folder and Path(folder).resolve() != Path.cwd())
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "PYTHONPATH": folders},
        )  # fmt: skip
    except OSError:  # the working directory may have been removed, too
        return
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(_SHARE):
                report(float(line.removeprefix(_SHARE)))


def main() -> None:
    """``packing_process PATH DTYPE [ADAPTER]``."""
    from generation.decoding.loading import pack_weights

    path, dtype, *adapter = sys.argv[1:]
    pack_weights(
        Path(path), dtype, Path(adapter[0]) if adapter else None, lambda share: print(f"{_SHARE}{share}", flush=True)
    )


if __name__ == "__main__":
    main()
