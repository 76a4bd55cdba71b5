"""The zoom-in region of interest: where a network looks next, in whole pixels.

Sofiiuk et al., "f-BRS: Rethinking Backpropagating Refinement for Interactive Segmentation", CVPR
2020, section 5 ("Zoom-In"). Pure arithmetic on (row, column), as the networks have it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from models.prompts import Box

Size = tuple[int, int]
"""(height, width)."""

Pixel = tuple[int, int]
"""(row, column)."""


class Roi(NamedTuple):
    """A region of a picture; `bottom` and `right` are its last row and column, so inclusive."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.bottom - self.top + 1, self.right - self.left + 1


NOWHERE = Roi(0, -1, 0, -1)
"""The region without a pixel."""


def whole(size: Size) -> Roi:
    """All of a picture."""
    return Roi(0, size[0] - 1, 0, size[1] - 1)


def box_roi(box: Box) -> Roi:
    """The pixels that a half-open box touches."""
    left, top, right, bottom = box
    return Roi(
        int(np.floor(top)),
        int(np.ceil(bottom)) - 1,
        int(np.floor(left)),
        int(np.ceil(right)) - 1,
    )


def mask_roi(mask: npt.NDArray[np.bool_], corner: Pixel = (0, 0)) -> Roi | None:
    """The region that a mask fills, None for an empty one.

    `corner` is the pixel of the picture that the mask's first pixel lies on.
    """
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    if width == 0:
        return None
    row, column = corner
    return Roi(top + row, top + row + height - 1, left + column, left + column + width - 1)


def around(roi: Roi, pixels: Iterable[Pixel]) -> Roi:
    """The smallest region that holds `roi` and all `pixels`."""
    for row, column in pixels:
        roi = Roi(
            min(roi.top, row),
            max(roi.bottom, row),
            min(roi.left, column),
            max(roi.right, column),
        )
    return roi


def expanded(roi: Roi, ratio: float, least: float = 0) -> Roi:
    """`roi` with its sides `ratio` times as long and at least `least`, about the same centre.

    Edges are rounded, halves to even, and may leave the picture.
    """
    top, bottom = _longer(roi.top, roi.bottom, ratio, least)
    left, right = _longer(roi.left, roi.right, ratio, least)
    return Roi(top, bottom, left, right)


def _longer(first: int, last: int, ratio: float, least: float) -> tuple[int, int]:
    centre = (first + last) / 2
    half = max(ratio * (last - first + 1), least) / 2
    return round(centre - half), round(centre + half)


def clamped(roi: Roi, size: Size) -> Roi:
    """The part of `roi` inside a picture of `size`."""
    return common(roi, whole(size))


def common(a: Roi, b: Roi) -> Roi:
    """The pixels of both; `NOWHERE` where they do not meet."""
    both = Roi(
        max(a.top, b.top), min(a.bottom, b.bottom), max(a.left, b.left), min(a.right, b.right)
    )
    return both if min(both.size) > 0 else NOWHERE


def iou(a: Roi, b: Roi) -> float:
    """Product of the IoUs of the rows and of the columns: not that of the areas."""
    return _interval_iou(a.top, a.bottom, b.top, b.bottom) * _interval_iou(
        a.left, a.right, b.left, b.right
    )


def _interval_iou(a_first: int, a_last: int, b_first: int, b_last: int) -> float:
    shared = max(0, min(a_last, b_last) - max(a_first, b_first) + 1)
    return shared / max(1e-6, max(a_last, b_last) - min(a_first, b_first) + 1)


def leaves(roi: Roi, pixels: Iterable[Pixel]) -> bool:
    """Whether any pixel lies outside `roi`, its last row and column counting as outside."""
    return any(
        not (roi.top <= row < roi.bottom and roi.left <= column < roi.right)
        for row, column in pixels
    )


def scaled_size(size: Size, target: int | Size) -> Size:
    """`size` with its long side made `target`, or `target` itself where that is a size."""
    if not isinstance(target, int):
        return target
    scale = target / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def limited_size(size: Size, limit: int | None) -> Size:
    """`size` with its long side at most `limit`."""
    return size if limit is None or max(size) <= limit else scaled_size(size, limit)


def into_crop(row: float, column: float, roi: Roi, size: Size) -> tuple[float, float]:
    """Where a position of the picture lies in the crop of `roi` resampled to `size`."""
    height, width = roi.size
    return size[0] * (row - roi.top) / height, size[1] * (column - roi.left) / width
