"""The curves of a training as a picture: the losses, and below them what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from backend.evaluation.plot import COLOURS

FILE = "curves.png"
LOSS = "loss/"
WINDOW = 50
"""The thick line is a mean over as much as a WINDOW-th of the training."""

Rows = Sequence[Mapping[str, Any]]


def write_curves(path: Path, rows: Rows, measured: Rows, title: str) -> None:
    """Write the picture as PNG. `rows` are those of `curves`, `measured` those of the history."""
    names = [name for name in _names(rows) if name.startswith(LOSS)]
    numbers = _names(measured)
    figure = Figure(figsize=(9, 6 if numbers else 4), layout="constrained")
    panels = figure.subplots(2 if numbers else 1, sharex=True, squeeze=False)[:, 0]
    for index, name in enumerate(names):
        steps, values = _series(rows, name)
        colour = COLOURS[index % len(COLOURS)]
        panels[0].plot(steps, values, color=colour, linewidth=0.8, alpha=0.3)
        label = name.removeprefix(LOSS)
        panels[0].plot(steps, _smooth(values), color=colour, linewidth=1.8, label=label)
    for index, name in enumerate(numbers):
        steps, values = _series(measured, name)
        colour = COLOURS[index % len(COLOURS)]
        panels[1].plot(steps, values, color=colour, marker="o", markersize=4, label=name)
    panels[0].set_title(title, fontsize=10, loc="left")
    panels[0].set_ylabel("loss")
    panels[-1].set_xlabel("step")
    for axes in panels:
        _dress(axes)
    figure.savefig(path, dpi=120)


def _names(rows: Rows) -> list[str]:
    """The names of all numbers, each once, in the order in which they came."""
    return list(dict.fromkeys(name for row in rows for name in row if name != "step"))


def _series(rows: Rows, name: str) -> tuple[list[int], list[float]]:
    pairs = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
    return [step for step, _ in pairs], [value for _, value in pairs]


def _smooth(values: Sequence[float]) -> list[float]:
    """The mean of each value with those around it, fewer at the ends."""
    reach = len(values) // WINDOW // 2
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(values, float))])
    first = np.maximum(np.arange(len(values)) - reach, 0)
    last = np.minimum(np.arange(len(values)) + reach + 1, len(values))
    smooth: list[float] = ((sums[last] - sums[first]) / (last - first)).tolist()
    return smooth


def _dress(axes: Axes) -> None:
    if axes.get_lines():
        axes.legend(loc="best", fontsize=8, frameon=False)
    axes.grid(axis="y", color="#e5e5e5")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
