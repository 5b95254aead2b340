"""The log of a run as a picture. Knows nothing of training. Start reading at ``draw_curves``."""

from __future__ import annotations

from pathlib import Path

from generation.errors import MissingExtraError
from generation.training.storage import read_lines, saying_why

_SMOOTHED_STEPS = 20


def draw_curves(log: Path, out: Path, title: str) -> None:
    """Draw training loss (mean of the last steps) and validation loss over tokens.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ConfigError: there is no log, or the picture cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "train") from error
    lines = list(read_lines(log))
    steps = [(line["tokens"], line["loss"]) for line in lines if "loss" in line]
    held_back = [(line["tokens"], line["validation_loss"]) for line in lines if "validation_loss" in line]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel="tokens seen", ylabel="nats per token")
    if steps:
        axes.plot([tokens for tokens, _ in steps], smoothed([loss for _, loss in steps]), label="training", alpha=0.8)
    if held_back:
        axes.plot(*zip(*held_back, strict=True), marker="o", label="held-back repositories")
    axes.legend()
    axes.grid(alpha=0.3)
    with saying_why(out):
        figure.savefig(out, dpi=110)


def smoothed(values: list[float]) -> list[float]:
    """Each value as the mean of itself and those before it, at most twenty."""
    starts = (max(0, number - _SMOOTHED_STEPS + 1) for number in range(len(values)))
    return [sum(values[start : number + 1]) / (number + 1 - start) for number, start in enumerate(starts)]
