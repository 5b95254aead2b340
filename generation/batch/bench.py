"""How many functions a second are filled: one by one, several at a time in one model, and on Ray workers.

Every setting fills the same functions of an emptied repository from the start; the text must be the same. Loading the
model is not counted, except on Ray, where starting the workers is part of the run. Beside them stands what there is
without a batch: a command for each function, which loads everything itself. Start reading at ``measure``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from generation import service
from generation.batch.cluster import Cluster, run_on_ray
from generation.batch.fill import FillOptions
from generation.batch.records import BatchRecord
from generation.batch.run import BatchPlan, run
from generation.batch.targets import Select, find_targets
from generation.config import GeneratorConfig, ToolConfig
from generation.errors import ConfigError
from generation.evaluation.emptying import empty


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to fill.

    Attributes:
        together: functions a model writes at a time.
        threads: of a model.
        workers: Ray actors; 0 is without Ray.
    """

    together: int
    threads: int
    workers: int = 0

    @property
    def name(self) -> str:
        """For people."""
        where = f"{self.workers} Ray workers, each " if self.workers else ""
        return f"{where}{self.together} at a time, {self.threads} threads"


@dataclass(frozen=True, slots=True)
class Rate:
    """What was measured of a setting; ``same_text`` compares with one by one."""

    setting: Setting
    functions: int
    seconds: float
    tokens: int
    tool_s: float
    same_text: bool

    @property
    def per_s(self) -> float:
        """Functions a second."""
        return self.functions / self.seconds


def settings(together: Sequence[int], workers: Sequence[int]) -> list[Setting]:
    """One by one with all cores, several at a time, one by one with half of the cores, workers of Ray."""
    cores = os.cpu_count() or 1
    local = [Setting(1, cores), *(Setting(count, cores) for count in together), Setting(1, max(1, cores // 2))]
    return [*local, *(Setting(max(together), max(1, cores // count), count) for count in workers)]


def measure(
    root: Path, functions: int, chosen: Sequence[Setting], say: Callable[[str], None], commands: int = 0
) -> dict[str, Any]:
    """The numbers of every setting, one by one first, and of ``memberwise generate`` for the first ``commands``."""
    rates: list[Rate] = []
    with tempfile.TemporaryDirectory(prefix="memberwise-bench-") as scratch:
        emptied = Path(scratch) / root.name
        empty(root, emptied, functions)
        first: list[BatchRecord] = []
        for number, setting in enumerate(chosen):
            seconds, records = _timed(emptied, Path(scratch) / str(number), setting)
            first = first or records
            rates.append(_rate(setting, seconds, records, first))
            say(f"{setting.name}: {rates[-1].per_s:.3f} functions/s, the same text: {rates[-1].same_text}")
        command_s = _command_s(emptied, commands, say) if commands else None
    return report(rates, command_s)


def report(rates: Sequence[Rate], command_s: float | None = None) -> dict[str, Any]:
    """Numbers for machines; ratios are against one by one as quick as it is, with one thread, and by commands.

    Args:
        rates: of all settings.
        command_s: seconds of a command that fills one function; None where that was not measured.
    """
    alone = [rate for rate in rates if rate.setting.together == 1 and not rate.setting.workers]
    local = [rate for rate in rates if rate.setting.together > 1 and not rate.setting.workers]
    best = max(local, key=lambda rate: rate.per_s)
    by_commands = {"command_s": command_s, "speedup_vs_commands": best.per_s * command_s} if command_s else {}
    return {
        "cores": os.cpu_count(),
        "rates": [{**asdict(rate), "name": rate.setting.name, "functions_per_s": rate.per_s} for rate in rates],
        "best": best.setting.name,
        "speedup_vs_serial": round(best.per_s / max(rate.per_s for rate in alone), 3),
        "speedup_vs_serial_half_of_the_cores": round(best.per_s / alone[-1].per_s, 3),
        **{name: round(value, 3) for name, value in by_commands.items()},
        "same_text": all(rate.same_text for rate in rates),
    }


def _command_s(root: Path, count: int, say: Callable[[str], None]) -> float:
    """Seconds of ``memberwise generate`` for a function, the mean of ``count``.

    Raises:
        ConfigError: a command failed.
    """
    targets, _ = find_targets(root.name, root, Select.DOCSTRINGS)
    started_s = time.perf_counter()
    for target in targets[:count]:
        say(f"memberwise generate {target.path}::{target.function}")
        command = [sys.executable, "-m", "generation.cli.main", "generate", f"{target.path}::{target.function}"]
        done = subprocess.run([*command, "--repo", "."], cwd=root, capture_output=True, text=True, check=False)
        if done.returncode not in {0, 1}:  # 1 where nothing was generated
            raise ConfigError(f"a command failed: {done.stderr.strip()}")
    return (time.perf_counter() - started_s) / len(targets[:count])


def draw(report: dict[str, Any], path: Path) -> None:
    """The scaling curve as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for on_ray in (False, True):
        rows = [row for row in report["rates"] if bool(row["setting"]["workers"]) is on_ray]
        if not on_ray:
            rows = [row for row in rows if row["setting"]["threads"] == report["cores"]]
        kind = "workers" if on_ray else "together"
        points = sorted((row["setting"][kind], row["functions_per_s"]) for row in rows)
        if points:
            axes.plot(
                *zip(*points, strict=True), marker="o", label="Ray workers" if on_ray else "at a time in one model"
            )
    axes.axhline(report["rates"][0]["functions_per_s"], color="grey", linestyle=":", label="one by one, all cores")
    axes.set_xlabel("number")
    axes.set_ylabel("functions per second")
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.savefig(path, dpi=120)


def _timed(root: Path, out: Path, setting: Setting) -> tuple[float, list[BatchRecord]]:
    config = GeneratorConfig(threads=setting.threads, tool=ToolConfig(deadline_s=30.0, kill_after_s=60.0, ahead=False))
    config = config.with_preset(service.usual_preset(config.model))
    targets, _ = find_targets(root.name, root, Select.DOCSTRINGS)
    plan = BatchPlan({root.name: root}, {root.name: targets}, config, out, FillOptions(retries=0))
    plan = replace(plan, together=setting.together)
    if setting.workers:
        started_s = time.perf_counter()
        records = run_on_ray(plan, Cluster("local", setting.workers, setting.threads))
    else:
        model = service.load_model(config)
        started_s = time.perf_counter()
        records = run(plan, lambda _: model)
    return time.perf_counter() - started_s, records


def _rate(setting: Setting, seconds: float, records: Sequence[BatchRecord], first: Sequence[BatchRecord]) -> Rate:
    return Rate(
        setting,
        len(records),
        round(seconds, 3),
        int(sum(record.stats.get("generated_tokens", 0) for record in records)),
        round(sum(record.stats.get("tool_ms", 0) for record in records) / 1000, 3),
        [record.text for record in records] == [record.text for record in first],
    )
