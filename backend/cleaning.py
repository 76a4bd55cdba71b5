"""Specks and pinholes: what a network leaves behind and nobody meant.

A part (pixels that touch by edge or corner) is a speck, and a hole (background that touches by
edge and is enclosed) a pinhole, where it is smaller than a limit: a number of pixels, or a share
of the bounding box of the mask's most extensive part, whichever is more. What the annotator
clicked on stays as the network left it. Cleaning twice gives what cleaning once gives: the most
extensive part is never dropped, and cleaning changes no part's bounding box.

Measured on 220 masks of MobileSAM (44 objects of four public evaluation sets, clicks 1 to 5): the
default limits bring 4.9 parts a mask down to 1.4 and leave the mean IoU where it is (+0.0001, no
mask worse by more than 0.003). Higher ones gain nothing: from a share of 0.005 on, single masks
lose 0.016.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from backend.masks import Mask
from models.prompts import Prompt

Labels = npt.NDArray[Any]
BY_EDGE, BY_EDGE_OR_CORNER = 4, 8


@dataclass(frozen=True, slots=True)
class Limit:
    """Smaller than `pixels`, or than `share` of the most extensive part's bounding box."""

    pixels: int
    share: float

    def area(self, extent: int) -> float:
        """The limit in pixels where the most extensive part's bounding box has `extent`."""
        return max(self.pixels, self.share * extent)


SPECK = Limit(pixels=8, share=0.001)
PINHOLE = Limit(pixels=8, share=0.0005)


def clean(mask: Mask, prompt: Prompt, speck: Limit = SPECK, pinhole: Limit = PINHOLE) -> Mask:
    """The mask without specks and pinholes.

    A part under a positive click or scribble is never dropped, a hole with a negative one in it
    never filled. `Limit(0, 0)` leaves either alone.
    """
    if not mask or _in_one_piece(mask):
        return mask
    kept, extent = _without_specks(mask, _pixels(prompt, positive=True), speck)
    return _without_pinholes(kept, _pixels(prompt, positive=False), pinhole.area(extent))


def _in_one_piece(mask: Mask) -> bool:
    """Whether the mask is one part without a hole: the common case, found ten times faster."""
    borders, _ = cv2.findContours(mask.crop.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return len(borders) == 1


def _without_specks(
    mask: Mask, clicked: Iterable[tuple[int, int]], speck: Limit
) -> tuple[Mask, int]:
    """The mask without specks, and the bounding box area of its most extensive part."""
    count, labels, statistics = _components(mask.crop, BY_EDGE_OR_CORNER)
    extents = statistics[:, cv2.CC_STAT_WIDTH] * statistics[:, cv2.CC_STAT_HEIGHT]
    extent = int(extents[1:].max())
    keep = statistics[:, cv2.CC_STAT_AREA] >= speck.area(extent)
    keep |= extents == extent
    keep[list(_labels_under(labels, clicked, mask))] = True
    keep[0] = False
    if np.count_nonzero(keep) == count - 1:
        return mask, extent
    return Mask.of(keep[labels], offset=mask.box[:2], size=mask.size), extent


def _without_pinholes(mask: Mask, clicked: Iterable[tuple[int, int]], limit: float) -> Mask:
    """The mask with the enclosed background smaller than `limit` pixels filled."""
    _, labels, statistics = _components(~mask.crop, BY_EDGE)
    filled = statistics[:, cv2.CC_STAT_AREA] < limit
    for border in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        filled[border] = False
    filled[list(_labels_under(labels, clicked, mask))] = False
    filled[0] = False
    if not filled.any():
        return mask
    return Mask(mask.size, mask.box, mask.crop | filled[labels])


def _components(
    array: npt.NDArray[np.bool_], connectivity: int
) -> tuple[int, Labels, npt.NDArray[Any]]:
    """Number of labels, int32 HxW of labels (0 where `array` is False), and their statistics."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(
        array.view(np.uint8), connectivity=connectivity
    )
    return count, np.asarray(labels), np.asarray(statistics)


def _labels_under(labels: Labels, pixels: Iterable[tuple[int, int]], mask: Mask) -> set[int]:
    """The labels under those of the picture's (row, column) `pixels` that lie in the mask's box."""
    left, top, right, bottom = mask.box
    return {
        int(labels[row - top, column - left])
        for row, column in pixels
        if top <= row < bottom and left <= column < right
    }


def _pixels(prompt: Prompt, positive: bool) -> list[tuple[int, int]]:
    """(row, column) of the clicks of one sign, and along the strokes of that sign."""
    pixels = [click.pixel for click in prompt.clicks if click.positive is positive]
    for scribble in prompt.scribbles:
        if scribble.positive is positive and scribble.points:
            pixels += _along(np.array(scribble.points, np.float64))
    return pixels


def _along(points: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """(row, column) of the pixels along a polyline of (x, y), at steps of a pixel or less."""
    stops = np.abs(np.diff(points, axis=0)).max(axis=1).cumsum() if len(points) > 1 else []
    distance = np.concatenate([[0.0], stops])
    at = np.linspace(0.0, distance[-1], int(np.ceil(distance[-1])) + 1)
    x, y = (np.floor(np.interp(at, distance, axis)).astype(np.int64) for axis in points.T)
    return list(zip(y.tolist(), x.tolist(), strict=True))
