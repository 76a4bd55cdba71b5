"""A plot of mean IoU against the number of clicks, one line a set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from backend.evaluation.summary import Summary

COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
    "#000000",
    "#8c564b",
)
"""Okabe and Ito's palette (yellow replaced): told apart by colour-blind readers as well."""

MARKERS = "os^Dv<>P"


def write_plot(path: Path, summaries: Mapping[str, Summary], title: str) -> None:
    """Write the plot as PNG. A box that came before the clicks is the point at 0."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.add_subplot()
    for index, (name, summary) in enumerate(summaries.items()):
        before = [] if summary.box_iou is None else [summary.box_iou]
        axes.plot(
            range(1 - len(before), 1 + len(summary.miou)),
            [*before, *summary.miou],
            color=COLOURS[index % len(COLOURS)],
            marker=MARKERS[index % len(MARKERS)],
            markersize=5,
            linewidth=1.8,
            label=f"{name} ({summary.objects}), NoC@90 {summary.noc[90]:.2f}",
        )
    boxed = any(summary.box_iou is not None for summary in summaries.values())
    axes.set_xlabel("clicks (0: the box alone)" if boxed else "clicks")
    _dress(axes, title)
    figure.legend(loc="outside lower center", ncols=min(3, len(summaries)), frameon=False)
    figure.savefig(path, dpi=150)


def _dress(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_ylabel("mean IoU")
    axes.set_ylim(math.floor(axes.get_ylim()[0] * 10) / 10, 1.0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=20, integer=True, steps=[1, 2, 5, 10]))
    axes.margins(x=0.02)
    axes.axhline(0.9, color="#999999", linewidth=1, linestyle="--", zorder=0)
    axes.grid(axis="y", color="#e5e5e5")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
