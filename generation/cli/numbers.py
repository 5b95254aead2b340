"""Options that are numbers, each in its range. Start reading at ``add_number``."""

from __future__ import annotations

import argparse
import os
from typing import Any

from generation.errors import ConfigError

CORES = os.cpu_count() or 1
MAX_TOKENS = (1, 4096)
MOST_JOBS = 256
SEEDS = (0, 2**31 - 1000)  # candidates and retries count on from the first
_MOST = 10**12  # where nothing else is a limit


def add_number(parser: argparse.ArgumentParser, option: str, least: float, most: float = _MOST, **more: Any) -> None:
    """Add an option that takes a number from ``least`` to ``most``, a whole one where ``least`` is one.

    Any other is a ``ConfigError`` when the command line is parsed.
    """
    kind = type(least)

    def number(text: str) -> float:
        value = kind(text)
        if not least <= value <= most:  # nor is NaN
            raise ConfigError(f"{option} {value} is out of range; it must be from {least} to {most}")
        return value

    number.__name__ = kind.__name__  # argparse says it where the text is no number at all
    parser.add_argument(option, type=number, **more)
