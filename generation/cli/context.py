"""The options for how much the model reads, of all commands that have them. Start at ``with_context``."""

from __future__ import annotations

import argparse
from dataclasses import replace

from generation.config import CONTEXT_TOKENS, GeneratorConfig, Selection
from generation.errors import ConfigError


def add_context(parser: argparse.ArgumentParser) -> None:
    """Add ``--context-tokens`` and ``--selection``."""
    parser.add_argument("--context-tokens", type=int, metavar="N", help="fill a context of so many, 32768 for example")
    parser.add_argument(
        "--selection", choices=[str(one) for one in Selection], default=GeneratorConfig().selection,
        help="attention sees a chosen part of a long context (auto: beyond what the model was trained for)",
    )  # fmt: skip


def check_context(args: argparse.Namespace) -> None:
    """Refuse a length that cannot be.

    Raises:
        ConfigError: says which lengths can.
    """
    (least, most), tokens = CONTEXT_TOKENS, args.context_tokens
    if tokens is not None and not least <= tokens <= most:
        raise ConfigError(f"--context-tokens {tokens} is out of range; it must be from {least} to {most}")


def with_context(config: GeneratorConfig, args: argparse.Namespace) -> GeneratorConfig:
    """The configuration with what the options say."""
    return replace(config, selection=Selection(args.selection)).filling(args.context_tokens)
