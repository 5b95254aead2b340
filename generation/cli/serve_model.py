"""``memberwise serve-model``: a model for a team. Start reading at ``run``."""

from __future__ import annotations

import argparse
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from generation.cache import cache_root
from generation.cli.numbers import add_number
from generation.config import PRESETS, GeneratorConfig
from generation.errors import ConfigError
from generation.service import usual_preset, weights_hash
from generation.serving.app import Service, deploy
from generation.serving.wire_tool import Limits

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: Subparsers) -> None:
    """Add ``serve-model``."""
    parser = subparsers.add_parser("serve-model", help="serve a model to a team (Ray Serve)")
    default, limits = GeneratorConfig(), Limits()
    parser.add_argument("--model", default=default.model, metavar="M", help="as for generate")
    parser.add_argument("--adapter", metavar="A", help="as for generate")
    parser.add_argument("--trigger", choices=sorted(PRESETS), help="whose adapter is loaded")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s: this machine only)")
    add_number(parser, "--port", 1, 65535, default=8765, help="(%(default)s)")
    add_number(parser, "--replicas", 1, 10_000, default=1, metavar="N", help="copies of the model (%(default)s)")
    add_number(parser, "--threads", 1, 1024, metavar="N", help="of each (all cores divided by --replicas)")
    together = "texts a replica writes at a time (%(default)s)"
    add_number(parser, "--together", 1, 256, default=8, metavar="N", help=together)
    add_number(parser, "--max-tokens", 1, default=limits.max_tokens, metavar="N", help="of one text (%(default)s)")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="what clients must show; made if it is missing")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    path = args.token_file or cache_root() / "serve-model.token"
    threads = args.threads or max(1, (os.cpu_count() or 1) // args.replicas)
    config = GeneratorConfig(model=args.model, adapter=args.adapter, threads=threads)
    config = config.with_preset(args.trigger or usual_preset(args.model, args.adapter))
    served = Service(
        config, token_in(path), args.host, args.port, args.replicas, args.together,
        Limits(max_tokens=args.max_tokens), threads, weights_hash(config),
    )  # fmt: skip
    url = deploy(served)
    print(
        f"serving {args.model} at {url}; clients: MEMBERWISE_TOKEN=$(cat {path}) memberwise ... --model remote:{url}",
        flush=True,
    )
    while True:
        time.sleep(3600)


def token_in(path: Path) -> str:
    """The token in a file that only its owner can read; a new one where there is none.

    Raises:
        ConfigError: others can read it, or it is empty.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"{path} can be read by others; chmod 600 it")
    token = path.read_text(encoding="utf-8").strip()
    if not token:
        raise ConfigError(f"{path} holds no token")
    return token
