"""``memberwise serve``: the command line of the server.

Imports nothing of the protocol before it runs, so that a missing extra is an error with the command that helps.
``generation.cli.main`` knows this module by name only.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from generation.config import GeneratorConfig
from generation.errors import ConfigError, MissingExtraError
from generation.interfaces import LanguageModel, ReportShare, Tell

if TYPE_CHECKING:
    from lsp_server.server import LoadModel

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: Subparsers) -> None:
    """Add ``serve``."""
    parser = subparsers.add_parser("serve", help="the language server, over stdin and stdout")
    parser.add_argument("--stdio", action="store_true", help="the default, and the only way")
    parser.add_argument("--share", action="store_true", help="one process holds the model for several windows")
    parser.add_argument("--share-host", type=Path, metavar="SOCKET", help=argparse.SUPPRESS)
    # For tests: a Python file and a function in it that makes the model, as the configuration names it.
    parser.add_argument("--model-from", metavar="FILE::FUNCTION", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until the client goes."""
    for package in ("pygls", "lsprotocol"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "server")
    from lsp_server import share
    from lsp_server.serve import serve

    load_model = _from_file(args.model_from) if args.model_from else _load_model
    if args.share_host:
        return share.host(args.share_host, load_model, verbose=args.verbose)
    if args.share:
        return share.pass_through(["--model-from", args.model_from] if args.model_from else [])
    return serve(load_model, verbose=args.verbose)


def _load_model(config: GeneratorConfig, report: ReportShare, tell: Tell) -> LanguageModel:
    from generation import service

    return service.load_model(config, report, tell)


def _from_file(spelled: str) -> LoadModel:
    """The function that ``FILE::FUNCTION`` names."""
    file, _, name = spelled.rpartition("::")
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    if spec is None or spec.loader is None or not Path(file).is_file():
        raise ConfigError(f"--model-from {spelled} names no Python file")

    def load(config: GeneratorConfig, report: ReportShare, _tell: Tell) -> LanguageModel:
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)  # type: ignore[union-attr]
        made: LanguageModel = getattr(module, name)(config, report)
        return made

    return load
