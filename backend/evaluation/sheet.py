"""A sheet of pictures of the objects that went worst: what the numbers look like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from backend.evaluation.datasets import IGNORE, OBJECT, Labels
from backend.evaluation.run import Evaluation, ObjectRecord
from backend.masks import Mask

MOST = 12
COLUMNS = 4
MARGIN = 0.25
"""Picture kept around object, mask and clicks, as a part of their larger side."""

TRUTH = "#ffd400"
PREDICTED = (0.0, 0.45, 0.95)
POSITIVE = "#1fd655"
NEGATIVE = "#ff3b30"


def worst(evaluation: Evaluation, most: int = MOST) -> list[ObjectRecord]:
    """The records with the lowest last IoU, lowest first."""
    return sorted(evaluation.records, key=lambda record: record.answers[-1])[:most]


def write_sheet(path: Path, evaluation: Evaluation, title: str) -> None:
    """Write the worst objects of a set as one PNG.

    Each is cropped to where something happened: true outline, last mask and numbered clicks.
    """
    records = worst(evaluation)
    columns = min(COLUMNS, len(records))
    rows = -(-len(records) // columns)
    figure = Figure(figsize=(3.6 * columns, 3.6 * rows + 0.9), layout="constrained")
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, record in zip(grid.flat, records, strict=False):
        _draw(axes, record)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=110)


def _draw(axes: Axes, record: ObjectRecord) -> None:
    image, labels = record.sample.read_image(), record.sample.read_labels()
    left, top, right, bottom = _view(record, labels)
    extent = (left - 0.5, right - 0.5, bottom - 0.5, top - 0.5)
    window = (slice(top, bottom), slice(left, right))
    axes.imshow(image[window], extent=extent, interpolation="antialiased")
    overlay = np.zeros((bottom - top, right - left, 4), np.float32)
    overlay[record.mask.full[window]] = (*PREDICTED, 0.45)
    overlay[labels[window] == IGNORE] += (0.0, 0.0, 0.0, 0.25)
    axes.imshow(np.clip(overlay, 0, 1), extent=extent, interpolation="nearest")
    truth = np.pad((labels == OBJECT)[window], 1)
    columns, rows = np.arange(left - 1, right + 1), np.arange(top - 1, bottom + 1)
    axes.contour(columns, rows, truth, levels=[0.5], colors=[TRUTH], linewidths=1.4)
    _draw_clicks(axes, record)
    axes.set_xlim(extent[:2])
    axes.set_ylim(extent[2:])
    axes.set_title(_caption(record), fontsize=9)


def _draw_clicks(axes: Axes, record: ObjectRecord) -> None:
    for number, click in enumerate(record.prompt.clicks, start=1):
        axes.plot(
            click.x,
            click.y,
            marker="o",
            markersize=9,
            color=POSITIVE if click.positive else NEGATIVE,
            markeredgecolor="white",
            markeredgewidth=0.8,
        )
        axes.annotate(
            str(number), (click.x, click.y), ha="center", va="center", fontsize=6, color="black"
        )


def _view(record: ObjectRecord, labels: Labels) -> tuple[int, int, int, int]:
    """The part of the picture to show: left, top, right, bottom, half-open."""
    height, width = labels.shape
    boxes = [mask.box for mask in (Mask.of(labels == OBJECT), record.mask) if mask]
    boxes += [(int(c.x), int(c.y), int(c.x) + 1, int(c.y) + 1) for c in record.prompt.clicks]
    left, top, right, bottom = (
        pick(edges)
        for pick, edges in zip((min, min, max, max), zip(*boxes, strict=True), strict=True)
    )
    margin = max(8, round(MARGIN * max(right - left, bottom - top)))
    return (
        max(0, left - margin),
        max(0, top - margin),
        min(width, right + margin),
        min(height, bottom + margin),
    )


def _caption(record: ObjectRecord) -> str:
    count = len(record.prompt.clicks)
    after = f"IoU {record.answers[-1]:.3f} after {count} click{'s' * (count != 1)}"
    return f"{record.sample.key}\n{after}, {record.answers[0]:.3f} after the first prompt"


def _legend() -> list[Patch | Line2D]:
    def dot(colour: str, label: str) -> Line2D:
        return Line2D([], [], marker="o", linestyle="", color=colour, label=label)

    return [
        Line2D([], [], color=TRUTH, label="true outline"),
        Patch(color=(*PREDICTED, 0.45), label="last mask"),
        dot(POSITIVE, "positive click"),
        dot(NEGATIVE, "negative click"),
    ]
