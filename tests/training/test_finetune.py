"""The training loop: the same by seed, whole after a kill, and clear about what goes wrong."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from generation.adapters import read_adapter
from generation.errors import ConfigError
from generation.training import checkpoints
from generation.training.bodies import read_holes
from generation.training.corpus import Split
from generation.training.curves import draw_curves, smoothed
from generation.training.examples import TrainingExample
from generation.training.finetune import Run, batches
from generation.training.network import AdaptedNetwork, load_network
from generation.training.pipeline import Job, Stage, train
from generation.training.settings import TrainingSettings

SETTINGS = TrainingSettings(
    total_tokens=1200, length_tokens=96, tokens_per_step=200, microbatch_tokens=300, rank=4, alpha=8, learning_rate=3e-3,
    warmup_steps=2, validation_examples=4, checkpoint_every_s=1e9, validate_every_s=1e9,
)  # fmt: skip


OPTIONS = [
    part
    for name in (
        "total_tokens", "length_tokens", "tokens_per_step", "rank", "alpha", "warmup_steps", "microbatch_tokens", "learning_rate",
        "validation_examples",
    )
    for part in (f"--{name.replace('_', '-')}", str(getattr(SETTINGS, name)))
]  # fmt: skip


class Numbers:
    """Examples that are easy to learn."""

    def example(self, number: int) -> TrainingExample:
        size = 20 + number % 5
        return TrainingExample([1 + (number + place) % 7 for place in range(size)], 1, size)

    def validation(self, count: int) -> list[TrainingExample]:
        return [self.example(number) for number in range(count)]


def network(model: Path) -> AdaptedNetwork:
    return load_network(model, "float32", SETTINGS.rank, SETTINGS.alpha, None, SETTINGS.seed)


def job(corpus: Path, out: Path, *, marks: bool = True, stage: Stage = Stage.FUNCTIONS) -> Job:
    return Job("", corpus, out, stage, marks, threads=1)


def test_the_loss_falls_and_the_log_says_so(model: Path, tmp_path: Path) -> None:
    lines: list[dict[str, float]] = []
    run = Run(tmp_path, network(model), Numbers(), replace(SETTINGS, learning_rate=5e-2), lines.append)
    first = run.validate()
    progress = run.train()
    assert progress.best < first - 0.3
    assert progress.tokens >= 1200
    assert lines == [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert next(line["rate"] for line in lines if "rate" in line) == pytest.approx(2.5e-2)


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(model: Path, tmp_path: Path) -> None:
    whole = Run(tmp_path / "whole", network(model), Numbers(), SETTINGS)
    whole.train()
    half = Run(tmp_path / "half", network(model), Numbers(), replace(SETTINGS, checkpoint_every_s=0))
    for _ in range(3):
        half._step()
        half._keep_up()
    again = Run(tmp_path / "half", network(model), Numbers(), SETTINGS)
    assert again.resume()
    assert again.progress == half.progress
    again.train()
    for name, tensor in whole.network.tensors().items():
        torch.testing.assert_close(again.network.tensors()[name], tensor, rtol=0, atol=0)


def test_a_resumed_log_holds_every_step_once(model: Path, tmp_path: Path) -> None:
    run = Run(tmp_path, network(model), Numbers(), replace(SETTINGS, checkpoint_every_s=0))
    run._step()
    run._keep_up()
    run._step()
    log = tmp_path / "log.jsonl"
    log.write_text(log.read_text() + '{"step": 3, "tok')  # all that the disk had room for
    again = Run(tmp_path, network(model), Numbers(), SETTINGS)
    assert again.resume()
    steps = again.train().step
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, steps + 1))
    draw_curves(log, tmp_path / "curves.png", "a run")


def test_the_log_of_a_run_without_a_checkpoint_is_begun_again(model: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 0, "tokens": 0, "validation_loss": 9.0}\n{"st')
    run = Run(tmp_path, network(model), Numbers(), SETTINGS)
    assert not run.resume()
    loss = run.validate()
    assert [json.loads(line)["validation_loss"] for line in log.read_text().splitlines()] == [loss]


def test_two_checkpoints_are_kept_and_a_half_one_is_none(model: Path, tmp_path: Path) -> None:
    run = Run(tmp_path, network(model), Numbers(), replace(SETTINGS, checkpoint_every_s=0))
    for _ in range(4):
        run._step()
        run._keep_up()
    (tmp_path / ".checkpoint-9.unfinished").mkdir()
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-3", "checkpoint-4"]
    newest = checkpoints.latest(tmp_path)
    assert newest is not None
    assert newest.name == "checkpoint-4"
    (newest / "optimizer.pt").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"checkpoint-4 is damaged .*delete it to use the one before"):
        run.resume()


def test_a_loss_that_is_no_number_stops_the_run_and_loses_nothing(model: Path, tmp_path: Path) -> None:
    run = Run(tmp_path, network(model), Numbers(), replace(SETTINGS, checkpoint_every_s=0))
    run._step()
    run._keep_up()
    before = run.network.tensors()
    with torch.no_grad():
        run.network.parameters()[0][0, 0] = math.nan
    with pytest.raises(ConfigError, match=r"the loss is nan .* at step 1; nothing of this step was kept\. Resume from"):
        run.train()
    checkpoint = checkpoints.latest(tmp_path)
    assert checkpoint is not None
    kept = load_file(checkpoint / "adapter.safetensors")
    assert all(torch.equal(kept[name], tensor) or tensor.isnan().any() for name, tensor in before.items())
    assert not any(tensor.isnan().any() for tensor in kept.values())


def test_a_full_disk_keeps_the_checkpoint_before(model: Path, tmp_path: Path) -> None:
    """A limit of the process on the size of files is as good as a full disk."""
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "import torch\n"
        "from generation.errors import ConfigError\n"
        "from generation.training.checkpoints import save_checkpoint, latest, load\n"
        "run = Path(sys.argv[1])\n"
        "save_checkpoint(run, 1, {'a': torch.ones(10)}, {}, {'step': 1})\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "try:\n"
        "    save_checkpoint(run, 2, {'a': torch.ones(100_000)}, {}, {'step': 2})\n"
        "except ConfigError as error:\n"
        "    print(error)\n"
        "print(sorted(path.name for path in run.iterdir()), load(latest(run))[2])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, timeout=100, check=True
    )
    assert f"cannot write {tmp_path / 'checkpoint-2'}: [Errno 27]" in done.stdout
    assert done.stdout.splitlines()[-1] == "['checkpoint-1'] {'step': 1}"


def test_no_progress_ends_a_run_early(model: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, learning_rate=0.0, validate_every_s=0, patience=2, total_tokens=10**6)
    progress = Run(tmp_path, network(model), Numbers(), settings).train()
    assert progress.step == 3


ONE_OF_TWO = """
import sys
from dataclasses import replace
from pathlib import Path
import torch.distributed
from generation.training.finetune import Run
from generation.training.team import Team
from tests.training.test_finetune import SETTINGS, Numbers, network

rank, out, model = int(sys.argv[1]), *map(Path, sys.argv[2:])
torch.distributed.init_process_group("gloo", f"file://{out / 'meeting'}", rank=rank, world_size=2)
every_s = (0, 1e9)[rank]  # clocks that could hardly differ more
settings = replace(SETTINGS, learning_rate=0.0, validate_every_s=every_s, patience=2, total_tokens=10**6)
print(Run(out, network(model), Numbers(), settings, team=Team(rank, 2)).train().step)
torch.distributed.destroy_process_group()
"""


def test_no_progress_ends_all_processes_after_the_same_step(model: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    commands = [[sys.executable, "-c", ONE_OF_TWO, str(rank), tmp_path, model] for rank in range(2)]
    processes = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for command in commands]
    try:
        assert [process.communicate(timeout=100)[0].split() for process in processes] == [["3"], ["3"]]
    finally:
        for process in processes:
            process.kill()


@pytest.mark.parametrize("most", [30, 60, 10_000])
def test_batches_hold_everything_once_and_little_padding(most: int) -> None:
    examples: Sequence[TrainingExample] = [Numbers().example(number) for number in range(17)]
    found = list(batches(examples, most))
    assert sorted(len(e.token_ids) for batch in found for e in batch) == sorted(len(e.token_ids) for e in examples)
    assert all(len(batch) == 1 or len(batch) * max(len(e.token_ids) for e in batch) <= most for batch in found)


def test_padding_changes_no_loss(model: Path) -> None:
    one, examples = network(model), [Numbers().example(number) for number in range(5)]
    together, counted = one.loss(examples)
    alone = [one.loss([example]) for example in examples]
    assert counted == sum(count for _, count in alone)
    torch.testing.assert_close(together, torch.stack([loss for loss, _ in alone]).sum())


def test_rates_rise_and_fall() -> None:
    settings = TrainingSettings(total_tokens=100, warmup_steps=4, learning_rate=1.0, final_rate=0.1)
    assert [settings.rate(step, 0) for step in (0, 1, 3, 9)] == [0.25, 0.5, 1.0, 1.0]
    assert settings.rate(9, 50) == pytest.approx(0.55)
    assert settings.rate(9, 100) == settings.rate(9, 500) == pytest.approx(0.1)


# ------------------------------------------------------------------------------------------ the pipeline


def test_both_stages_make_an_adapter(model: Path, corpus: Path, tmp_path: Path) -> None:
    files = replace(job(corpus, tmp_path / "files", marks=False, stage=Stage.FILES), base=str(model))
    train(files, replace(SETTINGS, total_tokens=400), resume=False, report=lambda line: None)
    functions = replace(job(corpus, tmp_path / "mark"), base=str(model), init=tmp_path / "files", name="mark")
    progress = train(functions, SETTINGS, resume=False, report=lambda line: None)
    manifest = read_adapter(tmp_path / "mark")
    first = read_adapter(tmp_path / "files").tokens_seen
    assert (manifest.name, manifest.tokens_seen) == ("mark", first + progress.tokens)
    assert [stage["stage"] for stage in manifest.stages] == ["files", "functions"]
    assert sum(stage["tokens"] for stage in manifest.stages) == manifest.tokens_seen
    assert manifest.mark_id is not None
    assert manifest.measured["functions_validation_loss"] == pytest.approx(progress.best, abs=1e-4)
    longer = replace(SETTINGS, total_tokens=1600)
    progress = train(replace(functions, init=None), longer, resume=True, report=lambda line: None)
    resumed = read_adapter(tmp_path / "mark")
    assert resumed.tokens_seen == first + progress.tokens == sum(stage["tokens"] for stage in resumed.stages)
    assert [stage["marks"] for stage in resumed.stages] == [False, True]
    assert (tmp_path / "mark" / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_plain_and_mark_see_the_same_functions(model: Path, corpus: Path, tmp_path: Path) -> None:
    seen = {}
    for marks in (True, False):
        out = tmp_path / str(marks)
        progress = train(
            replace(job(corpus, out, marks=marks), base=str(model)), SETTINGS, resume=False, report=lambda line: None
        )
        seen[marks] = (progress.step, progress.example, progress.tokens)
        assert (read_adapter(out).mark_id is not None) == marks
    assert seen[True] == seen[False]


def test_a_run_is_not_overwritten_and_not_made_up(model: Path, corpus: Path, tmp_path: Path) -> None:
    one = replace(job(corpus, tmp_path / "run"), base=str(model))
    with pytest.raises(ConfigError, match="holds no checkpoint to resume from; leave --resume out"):
        train(one, SETTINGS, resume=True, report=lambda line: None)
    train(one, replace(SETTINGS, total_tokens=200), resume=False, report=lambda line: None)
    with pytest.raises(ConfigError, match="holds a run already; give --resume"):
        train(one, SETTINGS, resume=False, report=lambda line: None)


def test_kill_9_at_any_moment_and_resume(model: Path, corpus: Path, tmp_path: Path) -> None:
    """The killed and resumed run ends with the same tensors as one that was left alone."""
    whole = train(
        replace(job(corpus, tmp_path / "whole"), base=str(model)), SETTINGS, resume=False, report=lambda line: None
    )
    command = [sys.executable, "-m", "generation.cli.main", "train", "--base", str(model), "--data", str(corpus)]
    command += ["--out", str(tmp_path / "run"), "--threads", "1", "--checkpoint-every-s", "0"]
    command += OPTIONS
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline_s = time.monotonic() + 100
    while checkpoints.latest(tmp_path / "run") is None and time.monotonic() < deadline_s:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    resumed = train(
        replace(job(corpus, tmp_path / "run"), base=str(model)), SETTINGS, resume=True, report=lambda line: None
    )
    assert (resumed.step, resumed.tokens) == (whole.step, whole.tokens)
    expected, found = (load_file(tmp_path / name / "adapter.safetensors") for name in ("whole", "run"))
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)


def test_two_processes_train_what_one_does(model: Path, corpus: Path, tmp_path: Path) -> None:
    """The sums are added in another order, so the tensors differ by rounding."""
    one = replace(job(corpus, tmp_path / "one"), base=str(model))
    alone = train(one, SETTINGS, resume=False, report=lambda line: None)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "generation.cli.main", "train"]
    command += ["--base", str(model), "--data", str(corpus), "--out", str(tmp_path / "two"), "--threads", "1", *OPTIONS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "two" / "settings.json").read_text())["processes"] == 2
    lines = [json.loads(line) for line in (tmp_path / "two" / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == alone.step
    assert lines[-1]["validation_loss"] == pytest.approx(alone.best, abs=1e-4)


@pytest.mark.timeout(300)
def test_compiled_layers_learn_the_same(model: Path, corpus: Path, tmp_path: Path) -> None:
    """In a process of its own: torch's compiler wants to import setuptools before anybody imports distutils."""
    whole = train(
        replace(job(corpus, tmp_path / "eager"), base=str(model)), SETTINGS, resume=False, report=lambda line: None
    )
    command = [sys.executable, "-m", "generation.cli.main", "train", "--compile"]
    command += [
        "--base",
        str(model),
        "--data",
        str(corpus),
        "--out",
        str(tmp_path / "fast"),
        "--threads",
        "1",
        *OPTIONS,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    progress = json.loads(done.stdout)
    assert progress["step"] == whole.step
    assert progress["best"] == pytest.approx(whole.best, rel=0.01)


def test_holes_of_the_other_split_are_not_trained_on(corpus: Path) -> None:
    assert {hole.repo for hole in read_holes(corpus, Split.TRAIN)} == {"shelf"}


def test_curves_of_an_empty_and_a_short_log(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"tokens": 0, "validation_loss": 2.0}\n{"tokens": 9, "loss": 1.0}\n{"tok')
    draw_curves(tmp_path / "log.jsonl", tmp_path / "curves.png", "a run")
    assert (tmp_path / "curves.png").stat().st_size > 1000
    assert smoothed([1.0, 3.0]) == [1.0, 2.0]
