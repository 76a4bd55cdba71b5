"""Which of the masks that Segment Anything proposes a person gets.

The network scores its masks by itself, but knows neither how people click nor what they saw when
they did. A click is put into the middle of the largest error: so for each candidate it is asked
where the annotator would have clicked if that candidate were the object. All maps here
show the picture's part of the network's frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.mobilesam_options import MobileSamOptions

Map = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float32]

LOST_SHARE = 0.5
LOST_CENTREDNESS = 0.25
LOST_STABILITY = 0.5
SURE = 2.0
"""The logit, on either side of 0, of pixels that a person's click decides."""


@dataclass(frozen=True)
class Evidence:
    """What is known beside the network's scores.

    `previous` is the mask that the annotator saw, None before the first answer. `click` is the
    newest click as (row, column, positive) on the map, `box` (left, top, right, bottom) in its
    pixels, and `clicks` how many there are.
    """

    previous: Map | None = None
    click: tuple[int, int, bool] | None = None
    box: tuple[float, float, float, float] | None = None
    clicks: int = 0


def choose(logits: Values, scores: Values, evidence: Evidence, options: MobileSamOptions) -> int:
    """The number of the best of four masks: float32 logits (4, h, w) and network's scores (4,)."""
    first = evidence.previous is None
    allowed = options.first_masks if first else options.later_masks
    values = {
        index: float(scores[index]) + _merit(logits[index], index, evidence, options)
        for index in allowed
    }
    return max(values, key=lambda index: values[index])


def _merit(logits: Values, index: int, evidence: Evidence, options: MobileSamOptions) -> float:
    """What speaks for a mask beside its score."""
    mask = logits > 0
    merit = 0.0
    if evidence.click is not None and options.centre_weight:
        merit += options.centre_weight * centredness(mask, evidence.previous, evidence.click)
    if evidence.box is not None and options.box_weight:
        merit += options.box_weight * fill(mask, evidence.box)
    told = evidence.previous is not None or evidence.box is not None
    if told and options.stability_weight:
        merit += options.stability_weight * stability(logits)
    if evidence.previous is None:
        if options.area_weight and evidence.box is None:
            merit += options.area_weight * math.log(mask.mean() + 1e-6)
        return merit
    if options.consistency_weight:
        # Where no click asks for a change, a given mask is to be kept.
        weight = options.consistency_weight if evidence.click is not None else 1.0
        merit += weight * overlap(mask, evidence.previous)
    if index == 0 and evidence.clicks > 2:
        merit += options.settled_weight
    return merit


def lost(logits: Values, evidence: Evidence) -> bool:
    """Whether the best mask that the network has, float32 logits (h, w), is no answer to a click.

    It drops most of what the annotator saw, is unsure of itself, and would be a surprising change
    to ask for by a click in this place. All three together are rare, one in a hundred objects, and
    were never right where they were measured; one alone often is.
    """
    if evidence.previous is None or evidence.click is None or not evidence.previous.any():
        return False
    mask = logits > 0
    kept = np.count_nonzero(mask & evidence.previous) / np.count_nonzero(evidence.previous)
    return bool(
        kept < LOST_SHARE
        and stability(logits) < LOST_STABILITY
        and centredness(mask, evidence.previous, evidence.click) < LOST_CENTREDNESS
    )


def corrected(logits: Values, evidence: Evidence) -> Values:
    """The previous logits, float32 (H, W), with nothing changed but a disk around the click.

    The evidence's previous mask is that of the upper left part, which shows the picture. The disk
    reaches to the nearest border of the mask: a click in the middle of an error is as far from it.
    """
    if evidence.previous is None or evidence.click is None:
        return logits
    row, column, positive = evidence.click
    clicked = ~evidence.previous if positive else evidence.previous
    radius = max(1.0, float(depth(clicked)[row, column]))
    rows, columns = np.ogrid[: logits.shape[0], : logits.shape[1]]
    disk = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    bound = np.maximum(logits, SURE) if positive else np.minimum(logits, -SURE)
    return np.where(disk, bound, logits).astype(np.float32)


def centredness(mask: Map, previous: Map | None, click: tuple[int, int, bool]) -> float:
    """How well a click fits if `mask` were the object and `previous` what the annotator saw.

    1 where the click lies as deep in the errors of `previous` as any pixel does, 0 where it is on
    no error of its sign.
    """
    previous = np.zeros_like(mask) if previous is None else previous
    missing, surplus = depth(mask & ~previous), depth(previous & ~mask)
    row, column, positive = click
    deepest = max(float(missing.max()), float(surplus.max()), 1.0)
    return float((missing if positive else surplus)[row, column]) / deepest


def stability(logits: Values) -> float:
    """How little a mask depends on its threshold: its IoU with itself, one logit lower and higher.

    The stability score of Kirillov et al., Segment Anything (arXiv 2304.02643), section 5.
    """
    sure, possible = (int(np.count_nonzero(logits > level)) for level in (1, -1))
    return sure / max(1, possible)


def depth(region: Map) -> Values:
    """Distance of each pixel of a region to its border; the map's edge counts as border."""
    padded = np.pad(region, 1).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1], np.float32)


def overlap(one: Map, other: Map) -> float:
    """IoU of two masks; 1 where both are empty."""
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 1.0


def fill(mask: Map, box: tuple[float, float, float, float]) -> float:
    """IoU of the mask's own box with `box`; 0 for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return 0.0
    own = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    width = min(own[2], box[2]) - max(own[0], box[0])
    height = min(own[3], box[3]) - max(own[1], box[1])
    common = max(0.0, width) * max(0.0, height)
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in (own, box)]
    return float(common / max(sum(areas) - common, 1e-9))
