"""``memberwise generate FILE::QUALNAME``: write the body of one function.

Finds the function, asks ``generation.service``, and shows, prints or writes the result. Start reading at ``run``.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from generation.cli import display
from generation.config import PRESETS, GeneratorConfig, SamplingConfig, ToolConfig
from generation.errors import ConfigError, TargetError
from generation.source.files import SourceFile, read_source, write_source
from generation.source.functions import FunctionSite, find_at, find_function, hole, replace_body
from generation.types import Finished, TextDelta, ToolCalled

if TYPE_CHECKING:
    from generation.service import RankedCandidate, Session

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_POSITION = re.compile(r"(?P<file>.+?):(?P<line>\d+)(?::(?P<column>\d+))?")
_ROOT_MARKS = (".git", "pyproject.toml", "setup.py")
_RANGES = {
    "candidates": (1, 64),
    "max_tokens": (1, 4096),
    "temperature": (0.0, 5.0),
    "top_p": (0.001, 1.0),
    "seed": (0, 2**31 - 1000),
    "deadline": (0.001, 86_400.0),
}


@dataclass(frozen=True, slots=True)
class Target:
    """The function to write, the file it is in, and the repository around it."""

    file: SourceFile
    site: FunctionSite
    root: Path


def add_parser(subparsers: Subparsers) -> None:
    """Add ``generate``."""
    parser = subparsers.add_parser("generate", help="write the body of a function")
    parser.set_defaults(run=run)
    parser.add_argument("target", metavar="TARGET", help="FILE::QUALNAME or FILE:LINE[:COLUMN], both from 1")
    parser.add_argument("--repo", type=Path, metavar="DIR", help="the repository (default: found from the file)")
    parser.add_argument("--replace", action="store_true", help="write a body that is there already anew")
    parser.add_argument("--explain", action="store_true", help="show where the tool was asked and what came of it")
    _add_output(parser)
    _add_method(parser)
    _add_tool(parser)


def _add_output(parser: argparse.ArgumentParser) -> None:
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--diff", action="store_true", help="print a diff and nothing else")
    output.add_argument("--write", action="store_true", help="change the file")
    output.add_argument("--json", action="store_true", help="print one JSON object")


def _add_method(parser: argparse.ArgumentParser) -> None:
    default, sampling = GeneratorConfig(), SamplingConfig()
    parser.add_argument("--trigger", choices=sorted(PRESETS), default="dot", help="when the tool is asked (%(default)s)")
    parser.add_argument("--model", metavar="M", default=default.model, help="a cached model, a folder or a GGUF file")
    parser.add_argument("--candidates", type=int, metavar="N", default=1, help="write several, take the best")
    parser.add_argument("--max-tokens", type=int, metavar="N", default=default.max_tokens, help="(%(default)s)")
    parser.add_argument("--temperature", type=float, metavar="T", default=sampling.temperature, help="0 is greedy")
    parser.add_argument("--top-p", type=float, metavar="P", default=sampling.top_p, help="(%(default)s)")
    parser.add_argument("--seed", type=int, metavar="S", default=sampling.seed, help="of the sampler (%(default)s)")
    parser.add_argument("--deadline", type=float, metavar="S", help="end after this many seconds")


def _add_tool(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--python", type=Path, metavar="PATH", help="interpreter whose packages the code can use")
    parser.add_argument("--untrusted", action="store_true", help="run no interpreter that the repository brings")


def run(args: argparse.Namespace) -> int:
    """Generate, show and, where asked, write; 1 when nothing was generated."""
    config = configuration(args)
    target = find_target(args.target, args.repo, replace_body=args.replace)
    _warn(target.site.warnings)
    from generation.service import build_generator

    with build_generator(config, target.root) as session:
        _warn(session.warnings)
        result = _generate(session, target, args)
        _show(session, target, result, args)
    return 0 if result.finished.text.strip() else 1


def configuration(args: argparse.Namespace) -> GeneratorConfig:
    """The settings that the arguments name.

    Raises:
        ConfigError: a number is out of range, or two arguments exclude each other.
    """
    for name, (least, most) in _RANGES.items():
        value = getattr(args, name)
        if value is not None and not (math.isfinite(value) and least <= value <= most):
            raise ConfigError(f"--{name.replace('_', '-')} {value} is out of range; it must be from {least} to {most}")
    if args.untrusted and args.python:
        raise ConfigError("--python names an interpreter to run, and --untrusted forbids that; leave one out")
    if args.candidates > 1 and args.deadline:
        raise ConfigError("--deadline ends one generation; leave it out, or --candidates")
    sampling = SamplingConfig(args.temperature, args.top_p, args.seed, args.candidates)
    tool = ToolConfig(trusted=not args.untrusted, python=args.python)
    config = GeneratorConfig(model=args.model, max_tokens=args.max_tokens, sampling=sampling, tool=tool)
    return config.with_preset(args.trigger)


def find_target(spelled: str, repo: Path | None, *, replace_body: bool = False) -> Target:
    """The function that ``FILE::QUALNAME`` or ``FILE:LINE[:COLUMN]`` names.

    Args:
        spelled: as the user wrote it; lines and columns start at 1.
        repo: the repository, or None to find it.
        replace_body: a function that has a body is accepted.

    Raises:
        TargetError: no such file or function, several, or it has a body already.
        ConfigError: ``repo`` is no folder around the file.
    """
    path, name, position = _split(spelled)
    file = read_source(path)
    site = find_function(file.text, name) if name else find_at(file.text, *position)
    if site.is_overload:
        raise TargetError(f"{site.qualname} in line {site.line + 1} is an overload; name the implementation")
    if not site.is_stub and not replace_body:
        raise TargetError(f"{site.qualname} in line {site.line + 1} has a body already; --replace writes it anew")
    return Target(file, site, _checked_repo(repo, path) if repo else repository_of(path))


def repository_of(path: Path) -> Path:
    """The repository around a file: the nearest folder with a project file, else the one above its top package."""
    folder = path.resolve().parent
    for parent in (folder, *folder.parents):
        if any((parent / mark).exists() for mark in _ROOT_MARKS):
            return parent
    while (folder / "__init__.py").exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _split(spelled: str) -> tuple[Path, str, tuple[int, int | None]]:
    """A target's file, and its name or its 0-based position."""
    file, separator, name = spelled.rpartition("::")
    if separator and file and name:
        return Path(file), name, (0, None)
    if found := _POSITION.fullmatch(spelled):
        column = int(found["column"]) - 1 if found["column"] else None
        return Path(found["file"]), "", (int(found["line"]) - 1, column)
    raise TargetError(f"{spelled!r} names no function; write FILE::QUALNAME or FILE:LINE[:COLUMN]")


def _checked_repo(repo: Path, path: Path) -> Path:
    if not repo.is_dir():
        raise ConfigError(f"--repo {repo} is not a folder")
    if not path.resolve().is_relative_to(repo.resolve()):
        raise ConfigError(f"{path} is not in the repository {repo}; name a folder around it with --repo")
    return repo.resolve()


def _generate(session: Session, target: Target, args: argparse.Namespace) -> RankedCandidate:
    if args.candidates > 1:
        return session.candidates(target.site, target.file, args.candidates, _report(args.candidates))[0]
    return _stream(session, target, args.deadline, quiet=args.diff or args.json)


def _stream(session: Session, target: Target, deadline_s: float | None, *, quiet: bool) -> RankedCandidate:
    """One result, its text shown as it comes."""
    from generation.service import RankedCandidate

    console, calls, finished = Console(highlight=False), [], None
    for event in session.stream(target.site, target.file, deadline_s=deadline_s):
        match event:
            case TextDelta(text=text) if not quiet:
                console.print(display.visible(text), end="", style="cyan", markup=False, soft_wrap=True)
            case ToolCalled():
                calls.append(event)
            case Finished():
                finished = event
    assert finished is not None
    if not quiet:
        console.print("\n")
    return RankedCandidate(finished, tuple(calls), session.problems(target.site, target.file, finished))


def _report(count: int) -> _Progress:
    return _Progress(count)


def _show(session: Session, target: Target, result: RankedCandidate, args: argparse.Namespace) -> None:
    pass
