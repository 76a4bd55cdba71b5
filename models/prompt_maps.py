"""Prompts as maps of a crop's size: what our own network sees beside the picture."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from models.prompts import Box, Scribble
from models.scene import PixelClick
from models.zoom import Roi

Map = npt.NDArray[np.float32]

CLICK_RADIUS = 5.0
"""Pixels of the crop around a click, as in RITM (arXiv 2102.06583, section 3)."""

STROKE_RADIUS = 3.0
"""Half of the width of a stroke, in pixels of the crop."""


def prompt_maps(
    clicks: Iterable[PixelClick],
    scribbles: Iterable[Scribble],
    box: Box | None,
    roi: Roi,
    side: int,
) -> Map:
    """Positive places, negative places and box in a crop of `roi` resampled to `side` squared.

    float32 [3, side, side] of 0 and 1. Disks and strokes have the same size on every crop.
    """
    maps = np.zeros((3, side, side), np.float32)
    for row, column, positive in clicks:
        y, x = _placed(row + 0.5, column + 0.5, roi, side)
        _add_disk(maps[0 if positive else 1], round(y - 0.5), round(x - 0.5))
    for scribble in scribbles:
        _add_stroke(maps[0 if scribble.positive else 1], scribble, roi, side)
    if box is not None:
        left, top, right, bottom = box
        first = _placed(top, left, roi, side)
        last = _placed(bottom, right, roi, side)
        rows, columns = (
            slice(max(0, round(first[axis])), max(0, round(last[axis]))) for axis in (0, 1)
        )
        maps[2, rows, columns] = 1
    return maps


def _placed(y: float, x: float, roi: Roi, side: int) -> tuple[float, float]:
    """A position (y, x) of the picture in the crop; whole numbers are the edges of pixels."""
    height, width = roi.size
    return (y - roi.top) * side / height, (x - roi.left) * side / width


def _add_disk(plane: Map, row: int, column: int) -> None:
    """Set the pixels within CLICK_RADIUS of a pixel, which may lie outside."""
    reach = int(CLICK_RADIUS)
    side = plane.shape[0]
    top, bottom = max(0, row - reach), min(side, row + reach + 1)
    left, right = max(0, column - reach), min(side, column + reach + 1)
    if top >= bottom or left >= right:
        return
    y, x = np.ogrid[top:bottom, left:right]
    plane[top:bottom, left:right][(y - row) ** 2 + (x - column) ** 2 <= CLICK_RADIUS**2] = 1


def _add_stroke(plane: Map, scribble: Scribble, roi: Roi, side: int) -> None:
    """Draw a polyline, which may leave the crop, STROKE_RADIUS wide on either side."""
    points = [_placed(y, x, roi, side) for x, y in scribble.points]
    if not points:
        return
    # Far outside, OpenCV's whole numbers would overflow; there nothing is to be seen anyway.
    near = np.clip([(x - 0.5, y - 0.5) for y, x in points], -4 * side, 5 * side)
    line = near.round().astype(np.int32).reshape(-1, 1, 2)
    drawn = np.zeros(plane.shape, np.uint8)
    cv2.polylines(drawn, [line], False, 1, thickness=2 * int(STROKE_RADIUS))
    if len(points) == 1:
        cv2.circle(drawn, line[0, 0].tolist(), int(STROKE_RADIUS), 1, -1)
    np.maximum(plane, drawn, out=plane)
