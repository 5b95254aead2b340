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


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. ``argv`` defaults to the process's arguments."""
    _print_any_text()
    words = sys.argv[1:] if argv is None else argv
    args = parser(words).parse_args(words)
    args.words = words
    _show_log(args.verbose)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except MemberwiseError as error:
        print(f"memberwise: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("memberwise: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        return _reader_left()
    return code


def parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The command line; only the command that ``words`` name is imported and knows its options."""
    top = argparse.ArgumentParser(prog="memberwise", description="Writes Python whose members exist.")
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


def _reader_left() -> int:
    """The reader of our output has gone, as ``head`` does; nothing is wrong, and nothing more can be said."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the flush at exit fails again
    return 0


if __name__ == "__main__":
    sys.exit(main())
