"""Clicks that stand for a box or a scribble, for networks that understand clicks alone.

Pure geometry on the words of `models.prompts`; needs no network and no torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from models.prompts import Box, Click, Prompt, Scribble

SPACING = 32.0
"""Pixels of stroke that one click stands for; a wide brush raises it."""

BRUSHES_APART = 4.0
"""Clicks of one stroke lie at least this many brush radii apart."""

CLICKS_PER_SCRIBBLE = 5
"""A long stroke is told by this many clicks at most: more of one sign outweigh real clicks."""


def scribble_clicks(scribbles: Iterable[Scribble]) -> tuple[Click, ...]:
    """Clicks along strokes, with each stroke's sign, in the order they were drawn.

    A stroke is cut into equal lengths and clicked in the middle of each, so a short one is clicked
    at its own middle and every click lies on the line. A stroke without points gives none.
    """
    return tuple(click for scribble in scribbles for click in _clicks_along(scribble))


def box_click(box: Box) -> Click:
    """A positive click at the centre of a box."""
    left, top, right, bottom = box
    return Click((left + right) / 2, (top + bottom) / 2)


def box_within(box: Box, size: tuple[int, int]) -> Box | None:
    """The part of a box inside a picture of `size` (height, width); None where there is none."""
    left, right = (min(max(x, 0.0), float(size[1])) for x in (box[0], box[2]))
    top, bottom = (min(max(y, 0.0), float(size[0])) for y in (box[1], box[3]))
    return (left, top, right, bottom) if left < right and top < bottom else None


def as_clicks(prompt: Prompt) -> tuple[Click, ...]:
    """Box, scribbles and clicks of a prompt as clicks alone, in this order.

    What was given beside the clicks comes first (`models.segmenter.steps`), so the clicks of a
    longer prompt always begin with those of the shorter one.
    """
    box = () if prompt.box is None else (box_click(prompt.box),)
    return box + scribble_clicks(prompt.scribbles) + prompt.clicks


def _clicks_along(scribble: Scribble) -> list[Click]:
    points = np.asarray(scribble.points, np.float64).reshape(-1, 2)
    if not len(points):
        return []
    travelled = _travelled(points)
    length = float(travelled[-1])
    spacing = max(SPACING, BRUSHES_APART * scribble.radius)
    count = min(CLICKS_PER_SCRIBBLE, max(1, math.ceil(length / spacing)))
    stops = (np.arange(count) + 0.5) * (length / count)
    x, y = (np.interp(stops, travelled, points[:, axis]) for axis in (0, 1))
    return [Click(float(x[i]), float(y[i]), scribble.positive) for i in range(count)]


def _travelled(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Distance from the start of a polyline to each of its points; float64 of length N."""
    steps = np.hypot(*np.diff(points, axis=0).T)
    return np.concatenate([[0.0], np.cumsum(steps)])
