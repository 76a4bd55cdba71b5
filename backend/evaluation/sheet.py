"""A sheet of pictures of the objects that went worst: what the numbers look like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from backend.evaluation.datasets import IGNORE, OBJECT, Image, Labels
from backend.evaluation.run import Evaluation, ObjectRecord
from backend.masks import Mask

MOST = 12
COLUMNS = 4
WIDTH = 3.6
CAPTION = 0.45
"""Inches of a picture's column and of the two lines above it."""

MARGIN = 12
"""Pixels of the picture kept around object, mask and clicks."""

REACH = 1
"""How far around the object the picture is shown at most, in its own larger sides."""

TRUTH = "#ffd400"
PREDICTED = (0.0, 0.45, 0.95, 0.45)
IGNORED = (0.0, 0.0, 0.0, 0.35)
POSITIVE = "#1fd655"
NEGATIVE = "#ff3b30"


def worst(evaluation: Evaluation, most: int = MOST) -> list[ObjectRecord]:
    """The records with the lowest last IoU, lowest first."""
    return sorted(evaluation.records, key=lambda record: record.answers[-1])[:most]


def write_sheet(path: Path, evaluation: Evaluation, title: str) -> None:
    """Write the worst objects of a set as one PNG.

    Each is cropped to its surroundings: true outline, last mask and numbered clicks.
    """
    views = [_view(record) for record in worst(evaluation)]
    columns = min(COLUMNS, len(views))
    rows = [views[start : start + columns] for start in range(0, len(views), columns)]
    tallness = [max(view.image.shape[0] / view.image.shape[1] for view in row) for row in rows]
    heights = [WIDTH * min(aspect, 1.4) + CAPTION for aspect in tallness]
    figure = Figure(figsize=(max(WIDTH * columns, 7), sum(heights) + 0.9), layout="constrained")
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(len(rows), columns, squeeze=False, height_ratios=heights)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, view in zip(grid.flat, views, strict=False):
        _draw(axes, view)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=110)


@dataclass(frozen=True)
class View:
    """The part of a picture worth showing, from pixel (`left`, `top`) on."""

    record: ObjectRecord
    left: int
    top: int
    image: Image
    labels: Labels
    mask: npt.NDArray[np.bool_]


def _view(record: ObjectRecord) -> View:
    labels = record.sample.read_labels()
    height, width = labels.shape
    true = Mask.of(labels == OBJECT).box
    reach = REACH * max(true[2] - true[0], true[3] - true[1], 32)
    boxes = [true, record.mask.box] if record.mask else [true]
    boxes += [(int(c.x), int(c.y), int(c.x) + 1, int(c.y) + 1) for c in record.prompt.clicks]
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    left = max(0, min(lefts) - MARGIN, true[0] - reach)
    top = max(0, min(tops) - MARGIN, true[1] - reach)
    right = min(width, max(rights) + MARGIN, true[2] + reach)
    bottom = min(height, max(bottoms) + MARGIN, true[3] + reach)
    window = (slice(top, bottom), slice(left, right))
    image, mask = record.sample.read_image()[window], record.mask.full[window]
    return View(record, left, top, image, labels[window], mask)


def _draw(axes: Axes, view: View) -> None:
    height, width = view.labels.shape
    left, top = view.left - 0.5, view.top - 0.5
    extent = (left, left + width, top + height, top)
    axes.imshow(view.image, extent=extent, interpolation="antialiased")
    overlay = np.zeros((height, width, 4), np.float32)
    overlay[view.labels == IGNORE] = IGNORED
    overlay[view.mask] = PREDICTED
    axes.imshow(overlay, extent=extent, interpolation="nearest")
    truth = np.pad(view.labels == OBJECT, 1)
    columns = np.arange(view.left - 1, view.left + width + 1)
    rows = np.arange(view.top - 1, view.top + height + 1)
    axes.contour(columns, rows, truth, levels=[0.5], colors=[TRUTH], linewidths=1.3)
    _draw_clicks(axes, view.record)
    axes.set_xlim(extent[:2])
    axes.set_ylim(extent[2:])
    axes.set_anchor("N")
    axes.set_title(_caption(view.record), fontsize=9)


def _draw_clicks(axes: Axes, record: ObjectRecord) -> None:
    for number, click in enumerate(record.prompt.clicks, start=1):
        axes.plot(
            click.x,
            click.y,
            marker="o" if click.positive else "s",
            markersize=8,
            color=POSITIVE if click.positive else NEGATIVE,
            markeredgecolor="white",
            markeredgewidth=0.7,
        )
        axes.annotate(str(number), (click.x, click.y), ha="center", va="center", fontsize=5.5)


def _caption(record: ObjectRecord) -> str:
    count = len(record.prompt.clicks)
    after = f"IoU {record.answers[-1]:.3f} after {count} click{'s' * (count != 1)}"
    return f"{record.sample.key}\n{after}, {record.answers[0]:.3f} after the first prompt"


def _legend() -> list[Patch | Line2D]:
    def dot(colour: str, marker: str, label: str) -> Line2D:
        return Line2D([], [], marker=marker, linestyle="", color=colour, label=label)

    return [
        Line2D([], [], color=TRUTH, label="true outline"),
        Patch(color=PREDICTED, label="last mask"),
        dot(POSITIVE, "o", "positive click"),
        dot(NEGATIVE, "s", "negative click"),
    ]
