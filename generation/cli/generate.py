"""``memberwise generate FILE::QUALNAME``: write the body of one function.

Finds the function, asks ``generation.service``, and shows, prints or writes the result. Start reading at ``run``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from generation.candidates import RankedCandidate
from generation.cli import display
from generation.cli.context import add_context, with_context
from generation.cli.numbers import MAX_TOKENS, SEEDS, add_number
from generation.cli.output import Output
from generation.config import PRESETS, GeneratorConfig, SamplingConfig, ToolConfig
from generation.errors import ConfigError, TargetError
from generation.service import Session, apply, build_generator, usual_preset
from generation.source.files import SourceFile, read_source, require_writable, write_source
from generation.source.functions import FunctionSite, find_at, find_function, hole
from generation.source.text_diff import unified_diff
from generation.source.tolerant import split_lines
from generation.types import Finished, TextDelta, ToolCalled

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_POSITION = re.compile(r"(?P<file>.+?):(?P<line>\d+)(?::(?P<column>\d+))?")
_ROOT_MARKS = (".git", "pyproject.toml", "setup.py")


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
    parser.add_argument(
        "--trigger", choices=sorted(PRESETS), help="when the tool is asked (mark where the adapter knows it, else dot)"
    )
    parser.add_argument("--adapter", metavar="A", help="a name or a folder; none: the model as it is")
    parser.add_argument("--model", metavar="M", default=default.model, help="a cached model, a folder or a GGUF file")
    add_number(parser, "--candidates", 1, 64, metavar="N", default=1, help="write several, take the best")
    add_number(parser, "--max-tokens", *MAX_TOKENS, metavar="N", default=default.max_tokens, help="(%(default)s)")
    add_number(parser, "--temperature", 0.0, 5.0, metavar="T", default=sampling.temperature, help="0 is greedy")
    add_number(parser, "--top-p", 0.001, 1.0, metavar="P", default=sampling.top_p, help="(%(default)s)")
    add_number(parser, "--seed", *SEEDS, metavar="S", default=sampling.seed, help="of the sampler (%(default)s)")
    add_number(parser, "--deadline", 0.001, 86_400.0, metavar="S", help="end after this many seconds")
    add_context(parser)


def _add_tool(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--python", type=Path, metavar="PATH", help="interpreter whose packages the code can use")
    parser.add_argument("--untrusted", action="store_true", help="run no interpreter that the repository brings")


def run(args: argparse.Namespace) -> int:
    """Generate, show and, where asked, write; 1 when nothing was generated, or nothing that may be written."""
    config = configuration(args)
    target = find_target(args.target, args.repo, replace_body=args.replace)
    if args.write:
        require_writable(target.file)
    _warn(target.site.warnings)
    with build_generator(config, target.root) as session:
        _warn(session.warnings)
        result = _generate(session, target, args)
        new = apply(target.file, target.site, result.finished, session.first_party)
    _show(target, result, new, args)
    if args.write and new != target.file.text:
        if result.unusable:
            print(f"memberwise: {target.file.path} is unchanged: {result.unusable}", file=sys.stderr)
            return 1
        write_source(target.file, new)
        print(f"wrote {target.file.path}")
    return 0 if result.finished.text.strip() else 1


def configuration(args: argparse.Namespace) -> GeneratorConfig:
    """The settings that the arguments name.

    Raises:
        ConfigError: two arguments exclude each other.
    """
    if args.untrusted and args.python:
        raise ConfigError("--python names an interpreter to run, and --untrusted forbids that; leave one out")
    if args.candidates > 1 and args.deadline:
        raise ConfigError("--deadline ends one generation; leave it out, or --candidates")
    sampling = SamplingConfig(args.temperature, args.top_p, args.seed, args.candidates)
    tool = ToolConfig(trusted=not args.untrusted, python=args.python)
    args.trigger = args.trigger or usual_preset(args.model, args.adapter)
    config = GeneratorConfig(
        model=args.model, adapter=args.adapter, max_tokens=args.max_tokens, sampling=sampling, tool=tool
    )  # fmt: skip
    return with_context(config.with_preset(args.trigger), args)


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
    quiet = args.diff or args.json
    if args.candidates > 1:
        return session.candidates(target.site, target.file, args.candidates, None if quiet else _say_done)[0]
    return _stream(session, target, args.deadline, quiet=quiet)


def _say_done(done: int) -> None:
    print(f"candidate {done} is written", file=sys.stderr, flush=True)


def _stream(session: Session, target: Target, deadline_s: float | None, *, quiet: bool) -> RankedCandidate:
    """One result, its text shown as it comes."""
    console, calls, finished = Output(highlight=False), list[ToolCalled](), None
    for event in session.stream(target.site, target.file, deadline_s=deadline_s):
        if isinstance(event, TextDelta) and not quiet:
            console.print(Text(display.visible(event.text), "cyan"), end="", soft_wrap=True)
            console.file.flush()
        elif isinstance(event, ToolCalled):
            calls.append(event)
        elif isinstance(event, Finished):
            finished = event
    assert finished is not None
    if not quiet:
        console.print("\n")
    return RankedCandidate(finished, tuple(calls), session.problems(target.site, target.file, finished))


def _show(target: Target, result: RankedCandidate, new: str, args: argparse.Namespace) -> None:
    """Print what was asked for."""
    if args.json:
        print(json.dumps(_answer(target, result, args, new)))
        return
    diff = diff_of(target, new)
    if args.diff:
        sys.stdout.flush()
        sys.stdout.buffer.write(diff.encode(target.file.encoding.removesuffix("-sig")))
    console = Output(stderr=args.diff, highlight=False, width=None if sys.stdout.isatty() else 160)
    if not args.diff:
        console.print(display.styled_diff(diff) if diff else _why_no_diff(result.finished), soft_wrap=True)
    if args.explain:
        console.print(display.explain_table(result.calls, result.finished.text, _first_line(target, result, new)))
        console.print()
    console.print(display.summary(result.finished), markup=False)
    for problem in result.problems:
        line = f"line {problem.line + 1}: {problem.message} ({problem.kind})"
        console.print(display.visible(line), markup=False, soft_wrap=True)


def _why_no_diff(finished: Finished) -> str:
    if finished.text.strip():
        return "the same body stands there already"
    if finished.stats.generated_tokens:  # they were shown as they came
        return "nothing of this is a body: no statement came to its end"
    return "nothing was generated"


def diff_of(target: Target, new: str) -> str:
    """The change as ``git apply`` reads it in the repository's root; a byte order mark belongs to the first line."""
    mark = "\ufeff" if target.file.bom else ""
    path = target.file.target
    name = path.relative_to(target.root) if path.is_relative_to(target.root) else Path(path.name)
    return unified_diff(mark + target.file.text, mark + new, name.as_posix())


def _first_line(target: Target, result: RankedCandidate, new: str) -> int:
    """1-based line of the new file that the body starts in; imports above it have moved it down."""
    _, after = hole(target.file.text, target.site)
    last = len(split_lines(new[: len(new) - len(after)]))
    return last - len(split_lines(result.finished.text.rstrip())) + 1


def _answer(target: Target, result: RankedCandidate, args: argparse.Namespace, new_text: str) -> dict[str, object]:
    """The object that ``--json`` prints; offsets are code points into the file as it was read."""
    return {
        "file": str(target.file.path),
        "function": target.site.qualname,
        "model": args.model,
        "trigger": args.trigger,
        "seed": args.seed,
        **display.as_json(result.finished, result.calls),
        "edits": [asdict(edit) for edit in display.edits(target.file.text, new_text)],
        "problems": [asdict(problem) for problem in result.problems],
    }


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        print(f"memberwise: warning: {display.visible(warning)}", file=sys.stderr)
