"""Options that are numbers, each in its range. Start reading at ``add_number``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
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
    parser.add_argument(option, type=_in_range(option, least, most), **more)


def add_numbers(parser: argparse.ArgumentParser, option: str, least: float, most: float = _MOST, **more: Any) -> None:
    """The same for an option that takes several, separated by commas."""
    number = _in_range(option, least, most)

    def numbers(text: str) -> list[float]:
        return [number(word) for word in text.split(",")]

    numbers.__name__ = f"list of {number.__name__}"
    parser.add_argument(option, type=numbers, **more)


def _in_range(option: str, least: float, most: float) -> Callable[[str], float]:
    kind = type(least)

    def number(text: str) -> float:
        value = kind(text)
        if not least <= value <= most:  # nor is NaN
            raise ConfigError(f"{option} {value} is out of range; it must be from {least} to {most}")
        return value

    number.__name__ = kind.__name__  # argparse says it where the text is no number at all
    return number
