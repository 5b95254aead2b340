"""The options for how much the model reads, of all commands that have them. Start at ``with_context``."""

from __future__ import annotations

import argparse
from dataclasses import replace

from generation.cli.numbers import add_number
from generation.config import CONTEXT_TOKENS, GeneratorConfig, Selection


def add_context(parser: argparse.ArgumentParser) -> None:
    """Add ``--context-tokens`` and ``--selection``."""
    fill = "fill a context of so many, 32768 for example"
    add_number(parser, "--context-tokens", *CONTEXT_TOKENS, metavar="N", help=fill)
    parser.add_argument(
        "--selection", choices=[str(one) for one in Selection], default=GeneratorConfig().selection,
        help="attention sees a chosen part of a long context (auto: beyond what the model was trained for)",
    )  # fmt: skip


def with_context(config: GeneratorConfig, args: argparse.Namespace) -> GeneratorConfig:
    """The configuration with what the options say."""
    return replace(config, selection=Selection(args.selection)).filling(args.context_tokens)
