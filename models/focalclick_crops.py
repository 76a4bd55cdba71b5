"""FocalClick's geometry: what a click changed, and where to look at it closely.

Chen et al., "FocalClick: Towards Practical Interactive Image Segmentation", CVPR 2022: target crop,
focus crop and progressive merge. No network, no torch; masks are bool [H, W] of the whole picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from models.zoom import Pixel, Roi, Size, around, clamped, common, expanded, mask_roi

Mask = npt.NDArray[np.bool_]

FEWEST_PIXELS = 10
"""With fewer pixels a region says nothing, and the whole picture stands for it."""

MINOR = 3
"""A change with a side this many times shorter than the object's is minor."""

REACH = 0.2
"""Around the click of a minor change, this share of the object's longer side is looked at."""


class Span(NamedTuple):
    """First and last row, first and last column, in fractions of pixels; may leave the picture."""

    top: float
    bottom: float
    left: float
    right: float

    @property
    def height(self) -> float:
        """From the first row to the last, so one less than the number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> float:
        """From the first column to the last."""
        return self.right - self.left


def target_region(
    known: Roi, positive: Sequence[Pixel], size: Size, ratio: float, least: float
) -> Roi:
    """The target crop: the object known so far with its positive clicks, its sides made longer.

    Each side becomes `ratio` times as long and at least `least`, within a picture of `size`.
    """
    return clamped(expanded(around(known, positive), ratio, least), size)


def focus_region(now: Mask, before: Mask, click: Pixel, target: Roi, ratio: float) -> Roi | None:
    """The focus crop: where the click changed the mask, its sides `ratio` times as long.

    `now` is the coarse mask of this click, `before` the previous mask. None where what changed
    lies outside the target crop.
    """
    changed = changed_span(now, before, click)
    region = common(_longer(changed, ratio, (now.shape[0], now.shape[1])), target)
    return region if min(region.size) > 0 else None


def changed_span(now: Mask, before: Mask, click: Pixel) -> Span:
    """What a click changed.

    Without a mask before it, all of `now`. Otherwise the connected change under the click, or all
    that stayed where the click changed nothing. In place of a minor change it is what lies around
    the click.
    """
    if not before.any():
        return filled_span(now)
    changed, whole = filled_span(connected(now ^ before, click)), filled_span(now)
    if changed.height >= whole.height / MINOR and changed.width >= whole.width / MINOR:
        return changed
    reach = REACH * max(whole.height, whole.width)
    row, column = click
    return Span(row - reach, row + reach, column - reach, column + reach)


def filled_span(mask: Mask) -> Span:
    """What a mask fills; a little more than the picture for a mask of hardly any pixels."""
    if np.count_nonzero(mask) < FEWEST_PIXELS:
        return Span(0, mask.shape[0], 0, mask.shape[1])
    found = mask_roi(mask)
    assert found is not None  # noqa: S101 - some pixels were counted
    return Span(*found)


def progressive_merge(new: Mask, old: Mask, click: Pixel, *, unchanged: bool = False) -> Mask:
    """The old mask with the connected change under the click, and no other change.

    Where the new mask does not change the clicked pixel, the old mask stays; with `unchanged` all
    pixels in which the masks agree are taken for that change, as the original takes them: a click
    on the old mask then removes them.
    """
    changed = new ^ old
    if not changed[click] and not unchanged:
        return old
    part = connected(changed, click)
    return old & ~part if old[click] else old | part


def connected(mask: Mask, pixel: Pixel) -> Mask:
    """The pixels connected to `pixel`, corners included; all of the background where it is none."""
    if not mask[pixel]:
        return ~mask
    _, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    part: Mask = labels == labels[pixel]
    return part


def _longer(span: Span, ratio: float, size: Size) -> Roi:
    """The pixels of `span` made `ratio` times as long, edges cut to whole numbers."""
    top, bottom = _stretched(span.top, span.bottom, ratio)
    left, right = _stretched(span.left, span.right, ratio)
    return Roi(max(0, top), min(size[0], bottom) - 1, max(0, left), min(size[1], right) - 1)


def _stretched(first: float, last: float, ratio: float) -> tuple[int, int]:
    centre = 0.5 * (first + last)
    half = 0.5 * (ratio * (last - first + 1))
    return int(centre - half), int(centre + half)
