"""Masks as CVAT draws and stores them.

CVAT's boxes are inclusive on all four sides, unlike `Mask.box`. Its run lengths go along the rows
inside the box and begin with background; COCO's go down the columns of the whole picture.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backend.codecs.polygons import single_ring
from backend.codecs.runs import run_lengths
from backend.masks import Mask

COMMA, OPEN, CLOSE, ZERO = b",[]0"


def bounds(mask: Mask) -> list[int]:
    """[left, top, right, bottom], all inclusive; [0, 0, 0, 0] for an empty mask."""
    left, top, right, bottom = mask.box
    return [left, top, max(right - 1, 0), max(bottom - 1, 0)]


def runs(mask: Mask) -> list[int]:
    """The `points` of a shape of type mask: run lengths inside the box, then the box.

    An empty mask gives [1, 0, 0, 0, 0], as CVAT's own SDK does: five numbers, which its user
    interface passes over.
    """
    lengths = run_lengths(_crop(mask).ravel()).tolist()
    return [*lengths, *bounds(mask)]


def full_mask_rows(mask: Mask) -> list[list[int]]:
    """H rows of W numbers, 0 or 1. For answers that become JSON, `full_mask_json` is far faster."""
    rows: list[list[int]] = mask.full.astype(np.uint8).tolist()
    return rows


def full_mask_json(mask: Mask) -> str:
    """The compact JSON text of `full_mask_rows`: 24 MB for 4000 x 3000 pixels."""
    return _json_text(mask.full)


def cropped(mask: Mask) -> tuple[list[list[int]], list[int]]:
    """(rows, bounds): rows of 0 and 1 inside the box, and the inclusive box.

    An empty mask gives one background pixel at the origin.
    """
    return _crop(mask).astype(np.uint8).tolist(), bounds(mask)


def cropped_json(mask: Mask) -> str:
    """The compact JSON text of the rows of `cropped`."""
    return _json_text(_crop(mask))


def contour(mask: Mask, tolerance: float = 0.0) -> list[list[float]]:
    """[[x, y], ...] around the largest part in pixel-edge coordinates; [] for an empty mask.

    Holes are left out: the user interface takes one outer contour. It simplifies by itself, so
    every vertex is kept unless a `tolerance` in pixels is given.
    """
    points: list[list[float]] = single_ring(mask, tolerance, keep_holes=False).tolist()
    return points


def _crop(mask: Mask) -> npt.NDArray[np.bool_]:
    return mask.crop if mask else np.zeros((1, 1), np.bool_)


def _json_text(array: npt.NDArray[np.bool_]) -> str:
    """Rows of 0 and 1 as JSON: every row has the same length, so digits are laid into a grid."""
    height, width = array.shape
    text = np.full((height, 2 * width + 2), COMMA, np.uint8)
    text[:, 0] = OPEN
    text[:, -2] = CLOSE
    np.add(array.view(np.uint8), ZERO, out=text[:, 1:-1:2])
    return f"[{str(text.data, 'ascii')[:-1]}]"
