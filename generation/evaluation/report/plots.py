"""Plots as SVG that takes its colours from the page. Start reading at ``dot_plot``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

from generation.evaluation.metrics.intervals import Value
from generation.evaluation.tasks import TRUE

_WIDTH, _LABEL, _RIGHT = 420, 128, 54
_ROW, _TOP, _AXIS = 22, 6, 22
_CHARACTERS = 17


def dot_plot(title: str, rows: Mapping[str, Value], *, percent: bool) -> str:
    """One metric of all rows: a dot for the value, a line for its interval; rows without a value are left out."""
    known = {name: _known(value) for name, value in rows.items()}
    shown = {name: numbers for name, numbers in known.items() if numbers is not None}
    if not shown:
        return ""
    factor = 100.0 if percent else 1.0
    top = _nice_top(max(numbers[2] for numbers in shown.values()) * factor, percent)
    height = _TOP + _ROW * len(shown) + _AXIS
    parts = [_axis(top, height, percent)]
    parts += [
        _mark(name, tuple(n * factor for n in numbers), top, index)
        for index, (name, numbers) in enumerate(shown.items())
    ]
    label = escape(title, quote=True)
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _known(value: Value) -> tuple[float, float, float] | None:
    if value["value"] is None or value["low"] is None or value["high"] is None:
        return None
    return value["value"], value["low"], value["high"]


def _nice_top(most: float, percent: bool) -> float:
    """Where the axis ends: a round number that all values fit under."""
    if percent and most > 50:
        return 100.0
    step = 10.0 ** math.floor(math.log10(max(most, 1e-6)))
    return next(step * factor for factor in (1, 2, 2.5, 5, 10, 20) if step * factor >= most)


def _x(value: float, top: float) -> float:
    return round(_LABEL + (_WIDTH - _LABEL - _RIGHT) * min(value / top, 1.0), 1)


def _axis(top: float, height: float, percent: bool) -> str:
    lines = []
    for quarter in range(5):
        value = top * quarter / 4
        x = _x(value, top)
        label = f"{value:.3g}" + ("%" if percent and quarter == 4 else "")
        lines.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP}" y2="{height - _AXIS}"/>')
        lines.append(f'<text class="tick" x="{x}" y="{height - 7}" text-anchor="middle">{label}</text>')
    return "".join(lines)


def _mark(name: str, numbers: tuple[float, ...], top: float, index: int) -> str:
    value, low, high = numbers
    y = _TOP + _ROW * index + _ROW / 2
    kind = "reference" if name == TRUE else "row"
    short = name if len(name) <= _CHARACTERS else name[: _CHARACTERS - 1] + "…"
    shown = f"{value:.1f}" if value < 1000 else f"{value:.0f}"
    return (
        f'<g class="{kind}"><title>{escape(name)}: {value:.2f} [{low:.2f}, {high:.2f}]</title>'
        f'<text class="name" x="{_LABEL - 8}" y="{y + 4}" text-anchor="end">{escape(short)}</text>'
        f'<line class="interval" x1="{_x(low, top)}" x2="{_x(high, top)}" y1="{y}" y2="{y}"/>'
        f'<circle cx="{_x(value, top)}" cy="{y}" r="4"/>'
        f'<text class="value" x="{_WIDTH - 4}" y="{y + 4}" text-anchor="end">{shown}</text></g>'
    )
