"""``memberwise``: the sub-commands, what an error looks like, and the exit codes.

0 is success, 1 a result that is not usable, 2 an error, 130 an interruption. Knows nothing of what the sub-commands do;
they import what is heavy when they run. Start reading at ``main``.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from generation import __version__
from generation.errors import MemberwiseError

_COMMANDS = {
    "generate": ("generation.cli.generate", "write the body of a function"),
    "batch": ("generation.cli.batch", "fill the stubs of whole repositories"),
    "serve": ("lsp_server.command", "the language server that editors talk to"),
    "serve-model": ("generation.cli.serve_model", "a model for a team, on Ray Serve"),
    "model": ("generation.cli.model", "list, fetch, inspect and remove models"),
    "adapter": ("generation.cli.adapter", "list, inspect, measure and export adapters"),
    "corpus": ("generation.cli.corpus", "gather what an adapter is trained on"),
    "marks": ("generation.cli.marks", "insert marks into the functions of a corpus"),
    "train": ("generation.cli.train", "train an adapter"),
    "doctor": ("generation.cli.doctor", "say what is installed, how fast it is and what is missing"),
    "bench": ("generation.cli.bench", "measure parts of Memberwise"),
    "eval": ("generation.cli.evaluate", "generate functions of real repositories and judge them"),
}
_INTERRUPTED = 130  # what shells report for a process that SIGINT ended
_log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. ``argv`` defaults to the process's arguments."""
    words = sys.argv[1:] if argv is None else argv
    if sys.stdout is None:
        print("memberwise: error: the output is closed; send it somewhere, to /dev/null for example", file=sys.stderr)
        return 2
    try:
        _print_any_text()
        args = parser(words).parse_args(words)
        args.words = words
        _show_log(args.verbose)
        code: int = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has gone, as ``head`` does; nothing is wrong
        _drop_output()
        return 0
    except (MemberwiseError, OSError) as error:
        _log.debug("where it comes from", exc_info=True)
        print(f"memberwise: error: {error}", file=sys.stderr)
        _drop_output()
        return 2
    except ModuleNotFoundError as error:  # of a command for which no error says more
        print(f"memberwise: error: {error}; it comes with: pip install 'memberwise[all]'", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("memberwise: interrupted", file=sys.stderr)
        return _INTERRUPTED
    return code


class _Parser(argparse.ArgumentParser):
    """Takes no abbreviations: ``batch`` starts helpers with the words of its own command line, but for some."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)


def parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The command line; only the command that ``words`` name is imported and knows its options."""
    top = _Parser(prog="memberwise", description="Writes Python whose members exist.")
    top.add_argument("--version", action="version", version=f"memberwise {__version__}")
    top.add_argument("--verbose", action="store_true", help="show the log on stderr")
    subparsers = top.add_subparsers(required=True, metavar="COMMAND")
    named = next((word for word in words if not word.startswith("-")), None)
    for command, (module, summary) in _COMMANDS.items():
        if command == named:
            import_module(module).add_parser(subparsers)
        else:
            subparsers.add_parser(command, help=summary)
    return top


def _print_any_text() -> None:
    """A terminal that lacks a character gets its escape; output never fails for it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _show_log(verbose: bool) -> None:
    logging.basicConfig(format="%(relativeCreated)d ms %(name)s: %(message)s")
    logging.getLogger("generation").setLevel(logging.DEBUG if verbose else logging.CRITICAL)


def _drop_output() -> None:
    """What cannot be written is forgotten; else the flush at exit fails once more."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
