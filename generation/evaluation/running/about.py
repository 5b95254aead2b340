"""What a reader must know to judge a run's numbers: weights, settings, code, machine. Start reading at ``about``."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from generation.config import GeneratorConfig
from generation.evaluation.metrics.similarity import has_codebleu
from generation.evaluation.running.plan import Plan


def about(plan: Plan, seed: int, repos: Path) -> dict[str, object]:
    """Facts about a run, by their name."""
    one = next(iter(plan.configs.values()))
    return {
        "model": one.model,
        "rows": {name: _row(config, plan.weights.get(name, "")) for name, config in plan.configs.items()},
        "tasks": sum(map(len, plan.tasks.values())),
        "repositories": {name: len(tasks) for name, tasks in plan.tasks.items()},
        "list": f"{repos.name}, sha256 {_file_hash(repos)}",
        "seed": seed,
        "max_tokens": one.max_tokens,
        "dtype": one.dtype,
        "threads": one.threads or os.cpu_count(),
        "tool_deadline_s": one.tool.deadline_s,
        "codebleu": "per function, mean" if has_codebleu() else "not installed (no wheels of tree-sitter 0.22)",
        "versions": {name: importlib.metadata.version(name) for name in ("memberwise", "jedi", "pylint")},
        "commit": _commit(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
    }


def _row(config: GeneratorConfig, weights: str) -> dict[str, object]:
    return {
        "adapter": config.adapter,
        "weights": weights,
        "trigger": config.decoding.trigger.value,
        "candidates": config.sampling.candidates,
    }


def _file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else "of a folder"


def _commit() -> str | None:
    """Of this package's source, where it lies in a git checkout; ``+`` for changes that are not committed."""
    here = Path(__file__).parent
    try:
        run = [
            subprocess.run(["git", "-C", str(here), *command], capture_output=True, text=True, timeout=10, check=True)
            for command in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return run[0].stdout.strip() + ("+" if run[1].stdout.strip() else "")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
