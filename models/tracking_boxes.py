"""Squares around boxes, and outlines that follow a box: geometry without a network.

Boxes are (left, top, right, bottom) in pixels, half-open; positions are (x, y).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from models.prompts import Box

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Point = tuple[float, float]

LONGEST_WINDOW = 2048
"""Larger windows are not cut out whole: only what their small copy needs of them is read."""


def centred(box: Box) -> tuple[Point, Point]:
    """Centre (x, y) and size (width, height) of a box."""
    left, top, right, bottom = box
    return ((left + right) / 2, (top + bottom) / 2), (right - left, bottom - top)


def box_at(centre: Point, size: Point) -> Box:
    """The box of a centre and a size."""
    (x, y), (width, height) = centre, size
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def clipped(box: Box, frame: tuple[int, int]) -> Box:
    """The part of a box inside a frame of (height, width); without area where there is none."""
    left, top, right, bottom = box
    height, width = frame
    return (
        min(max(left, 0.0), width),
        min(max(top, 0.0), height),
        min(max(right, 0.0), width),
        min(max(bottom, 0.0), height),
    )


def window_side(size: Point, context: float) -> int:
    """The side in whole pixels of the square that shows an object and what is around it.

    TransT: sqrt((w + k)(h + k)) rounded up, with k = (`context` - 1)(w + h) / 2.
    """
    width, height = size
    margin = (context - 1) * (width + height) / 2
    return math.ceil(math.sqrt((width + margin) * (height + margin)))


def window(image: Image, centre: Point, side: int, pixels: int, colour: Sequence[float]) -> Image:
    """A square of a picture uint8 [H, W, 3] as uint8 [pixels, pixels, 3], bilinearly.

    The square of `side` whole pixels lies around `centre`, its corner rounded half up as the
    authors round it. What is not in the picture has `colour`, its fractions cut off.
    """
    first = [math.floor(at - (side + 1) / 2 + 0.5) for at in centre]
    if side <= LONGEST_WINDOW:
        columns, rows = (start + np.arange(side) for start in first)
        cut = _gathered(image, rows, columns, colour)
        return cut if side == pixels else cv2.resize(cut, (pixels, pixels)).astype(np.uint8)
    # What cv2.resize reads: two pixels for each result, however far the results lie apart.
    at = (np.arange(pixels) + 0.5) * side / pixels - 0.5
    before = np.floor(at).astype(np.int64)
    share = (at - before).astype(np.float32)
    pairs = np.stack([before, before + 1], axis=1).ravel()
    cut = _gathered(image, first[1] + pairs, first[0] + pairs, colour).astype(np.float32)
    lines = cut[0::2] * (1 - share)[:, None, None] + cut[1::2] * share[:, None, None]
    mixed = lines[:, 0::2] * (1 - share)[:, None] + lines[:, 1::2] * share[:, None]
    return np.rint(mixed).astype(np.uint8)


def _gathered(
    image: Image,
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    colour: Sequence[float],
) -> Image:
    """Rows and columns of a picture, given in rising order, those beside it in one colour."""
    found = np.empty((len(rows), len(columns), 3), np.uint8)
    found[:] = np.asarray(colour).astype(np.uint8)
    down = slice(*np.searchsorted(rows, [0, image.shape[0]]))
    across = slice(*np.searchsorted(columns, [0, image.shape[1]]))
    found[down, across] = image[rows[down]][:, columns[across]]
    return found


def polygon_box(points: Sequence[Point]) -> Box:
    """The smallest box around a polygon's points. Raises ValueError without any."""
    if not points:
        raise ValueError("the polygon has no points; give at least three")
    xs, ys = zip(*points, strict=True)
    return (float(min(xs)), float(min(ys)), float(max(xs)), float(max(ys)))


def mask_box(mask: Mask) -> Box:
    """The smallest box around a mask, bool [H, W]. Raises ValueError where the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise ValueError("the mask is empty; mark at least one pixel")
    return (
        float(columns[0]),
        float(rows[0]),
        float(columns[-1] + 1),
        float(rows[-1] + 1),
    )


def moved_polygon(points: Sequence[Point], before: Box, after: Box) -> list[Point]:
    """The points carried along with a box: shifted and stretched as the box was.

    Carry a track's polygon from its first frame, not from frame to frame. Raises ValueError where
    `before` has no area.
    """
    along, down = _stretched(before, after)
    return [(along[0] * x + along[1], down[0] * y + down[1]) for x, y in points]


def moved_mask(mask: Mask, before: Box, after: Box) -> Mask:
    """A mask bool [H, W] carried along with a box in the same way, in a frame of the same size.

    A pixel is set where the place that it comes from is. Raises ValueError where either box has no
    area.
    """
    along, down = _stretched(after, before)
    _stretched(before, after)
    height, width = mask.shape
    columns = np.floor(along[0] * (np.arange(width) + 0.5) + along[1]).astype(np.int64)
    rows = np.floor(down[0] * (np.arange(height) + 0.5) + down[1]).astype(np.int64)
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    found = mask[rows.clip(0, height - 1)][:, columns.clip(0, width - 1)]
    return np.asarray(found & inside, np.bool_)


def _stretched(before: Box, after: Box) -> tuple[Point, Point]:
    """Factor and offset of x and of y that lead from one box to the other."""
    found = []
    for low, high in ((0, 2), (1, 3)):
        if before[high] <= before[low]:
            raise ValueError(f"the box {list(before)} has no area, so nothing can follow it")
        factor = (after[high] - after[low]) / (before[high] - before[low])
        found.append((factor, after[low] - factor * before[low]))
    return found[0], found[1]
