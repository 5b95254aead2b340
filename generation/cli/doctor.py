"""``memberwise doctor``: what is installed, how fast it is, and what is missing.

Prints one line for each thing it looks at and never fails on what it finds. Start reading at ``run``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from generation import __version__
from generation.config import GeneratorConfig, ToolConfig
from generation.errors import MemberwiseError
from generation.models.catalog import find_cached, resolve
from generation.tools.environment import discover
from generation.tools.jedi_tool import JediTool
from generation.types import Draft, NameKind, ToolQuery

if TYPE_CHECKING:
    from generation.interfaces import LanguageModel

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_NEEDED = {"jedi": "", "tokenizers": "[model]", "gguf": "[model]"}
_OPTIONAL = {"torch": "[torch]", "transformers": "[torch]", "pylint": "[eval]"}
_USES = {"[torch]": "GPUs and other kinds of models", "[eval]": "evaluation"}
_PROMPT_TOKENS, _DECODED_TOKENS = 256, 16


def add_parser(subparsers: Subparsers) -> None:
    """Add ``doctor``."""
    parser = subparsers.add_parser("doctor", help="say what is installed, how fast it is and what is missing")
    parser.set_defaults(run=run)


def run(_args: argparse.Namespace) -> int:
    """Look at everything; 0 when Memberwise can generate, 1 when something needed is missing."""
    print(
        f"memberwise {__version__}, Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} cores"
    )
    missing = list(_check_packages())
    _check_jedi()
    if not missing:
        missing += _check_model()
    for advice in missing:
        print(f"missing: {advice}")
    return 1 if missing else 0


def _check_packages() -> Iterator[str]:
    """Print versions; yields what to do about each needed package that is not there."""
    for package, extra in {**_NEEDED, **_OPTIONAL}.items():
        try:
            print(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            command = f"pip install 'memberwise{extra}'"
            uses = f", which is for {_USES[extra]}" if package in _OPTIONAL else ""
            print(f"{package} is not installed{uses}: {command}")
            if package in _NEEDED:
                yield f"{package}; {command}"


def _check_jedi() -> None:
    environment = discover(Path.cwd(), ToolConfig(), os.environ)
    print(f"Jedi's environment for {Path.cwd()}: {environment.python or 'our own'} ({environment.source})")
    for warning in environment.warnings:
        print(f"warning: {warning}")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        tool = JediTool(root, ToolConfig(deadline_s=10.0))
        before = "class Box:\n    def open(self): ...\n\ndef use(box: Box):\n    box."
        answer = tool.suggest(ToolQuery(root, root / "box.py", before, "\n", NameKind.ATTRIBUTE))
        tool.close()
    found = "works" if "open" in {s.name for s in answer.suggestions} else f"does not work: {answer.error}"
    print(f"Jedi {found}; the first question took {answer.elapsed_ms:.0f} ms, its process included")


def _check_model() -> list[str]:
    """Print the state and speed of the default model; what to do when it is not there."""
    if find_cached("default") is None:
        return ["the default model; memberwise model pull default"]
    from generation.decoding import loading
    from generation.service import load_model

    started_s = time.perf_counter()
    try:
        model = load_model(GeneratorConfig())
    except MemberwiseError as error:
        return [f"a model that loads: {error}"]
    print(f"model {model.name}: loaded in {time.perf_counter() - started_s:.1f} s with its libraries")
    engine = loading.choose_engine(resolve("default"))
    if engine.device != "cpu" and not _runs_on_gpu(model):
        print("the GPU was tried and is not used; --verbose says why")
        engine = loading.choose_engine(resolve("default"), use_gpu=False)
    if loading.has_idle_gpu():
        print("the GPU is not used, for torch is not installed: pip install 'memberwise[torch]'")
    print(f"it runs in {engine.dtype} by {engine.reason}")
    where = f"{loading.usual_threads(engine)} thread(s)" if engine.device == "cpu" else engine.device
    print(_speed(model, where))
    return []


def _runs_on_gpu(model: LanguageModel) -> bool:
    from generation.decoding.gpu.network import TorchNetwork

    return isinstance(getattr(model, "network", None), TorchNetwork)


def _speed(model: LanguageModel, where: str) -> str:
    prompt = (model.tokenizer.encode("def add(a, b):\n    return a + b\n\n") * _PROMPT_TOKENS)[:_PROMPT_TOKENS]
    model.start(prompt[::-1]).close()  # not the same prompt, of which nothing would have to be read again
    started_s = time.perf_counter()
    state = model.start(prompt)
    read_s = time.perf_counter() - started_s
    for _ in range(_DECODED_TOKENS):
        state.score(Draft.chain([int(state.next_logits.argmax())]))
        state.commit([0])
    written_s = time.perf_counter() - started_s - read_s
    state.close()
    return f"reads {_PROMPT_TOKENS / read_s:.0f} tokens/s, writes {_DECODED_TOKENS / written_s:.0f} tokens/s ({where})"
