"""Clicks that a sample begins with, drawn from the object and from what is around it.

RITM's sampler (Sofiiuk et al., 2021, section 3): how many clicks of a sign falls off
geometrically; positive ones lie inside the object, negative ones in the background, on other
objects, or in a band around the object.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from backend.training.data.objects import Chosen
from backend.training.data.source import Mask

Points = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
Pool = Sequence[tuple[Mask, float]]
"""Masks to draw from, with the share of the points that each of them gets."""

SAMPLED = 100
"""The index of a click that was drawn here: networks that look at order see it as old."""

FIRST = 0
"""The index of a first click at the centre."""

PADDING = -1

LEAST_LEFT = 10
"""Erosion that leaves no more pixels than this is not done."""


@dataclass(frozen=True)
class PointSampler:
    """How clicks are drawn.

    At most `most` of either sign: 1 + k positive and k negative ones with a probability that falls
    with `gamma`**k. With probability `eroded` positive clicks keep `margin` pixels from the edge.
    `background`, `others` and `border` are the shares of the negative clicks, `width` the band's
    width as a share of the square root of the object's area. With `centred` the first positive
    click lies where the distance to the edge is above its largest divided by `inner` (FocalClick),
    and has the index FIRST.
    """

    most: int = 24
    gamma: float = 0.8
    eroded: float = 0.9
    margin: int = 3
    background: float = 0.1
    others: float = 0.4
    border: float = 0.5
    width: float = 0.1
    centred: bool = False
    inner: float = 1.7

    def sample(self, chosen: Chosen, rng: np.random.Generator) -> Points:
        """Clicks on a chosen object: float32 [2 * most, 3] of (row, column, index).

        The first `most` rows are positive clicks, then come negative ones; rows that are not used
        are -1. No click lies on a pixel to be ignored.
        """
        positives = [self._eroded(mask, rng) for mask in chosen.positives]
        negatives = [self._eroded(mask & (chosen.target == 0), rng) for mask in chosen.negatives]
        points = np.full((2 * self.most, 3), PADDING, np.float32)
        width = chosen.target.shape[1]
        placed = self._placed([[(mask, 1.0)] for mask in positives], len(positives), rng)
        _write(points[: self.most], placed, width)
        if self.centred:
            found = [mask for mask in positives if mask.any()][: self.most]
            centres = np.array([self._centre(mask, rng) for mask in found], np.int64)
            _write(points[: self.most], centres, width, FIRST)
        pools: list[Pool] = [[(mask, 1.0)] for mask in negatives]
        pools.append(self._elsewhere(chosen))
        _write(points[self.most :], self._placed(pools, len(negatives), rng), width)
        return points

    def _placed(self, pools: Sequence[Pool], certain: int, rng: np.random.Generator) -> Places:
        """Flat positions from the pools; the first `certain` of them give at least one.

        Points of one pool are taken as they are. Of several, each gives its first one, and the
        rest is drawn from all of them together.
        """
        known: dict[int, Places] = {}
        drawn = []
        for number, pool in enumerate(pools[: self.most]):
            count = self._count(rng, number < certain)
            points = _from_pool(pool, count, known, rng)
            if len(points):
                drawn.append(points)
        if len(drawn) <= 1:
            return drawn[0] if drawn else np.zeros(0, np.int64)
        first = np.array([points[0] for points in drawn])
        together = [(mask, share / len(pools)) for pool in pools for mask, share in pool]
        rest = _from_pool(together, self._count(rng, certain=False), known, rng)
        return np.concatenate([first, rest[: self.most - len(first)]])

    def _count(self, rng: np.random.Generator, certain: bool) -> int:
        least = 1 if certain else 0
        totals = cumulative(self.most + 1 - least, self.gamma)
        return least + int(np.searchsorted(totals, rng.random(), side="right"))

    def _eroded(self, mask: Mask, rng: np.random.Generator) -> Mask:
        if rng.random() >= self.eroded:
            return mask
        side = 2 * self.margin + 1
        inner = cv2.erode(mask.view(np.uint8), np.ones((side, side), np.uint8)).view(np.bool_)
        return inner if np.count_nonzero(inner) > LEAST_LEFT else mask

    def _elsewhere(self, chosen: Chosen) -> Pool:
        """Where negative clicks lie that belong to no particular place."""
        background = chosen.target == 0
        shares = (self.background, self.others, self.border)
        if not chosen.positives:
            return [(background, 1.0)]
        others = background if chosen.others is None else chosen.others
        return list(
            zip((background, others, self._border(chosen, background)), shares, strict=True)
        )

    def _border(self, chosen: Chosen, background: Mask) -> Mask:
        object_ = (chosen.target == 1).view(np.uint8)
        reach = math.ceil(self.width * math.sqrt(np.count_nonzero(object_)))
        kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
        return cv2.dilate(object_, kernel).view(np.bool_) & background

    def _centre(self, mask: Mask, rng: np.random.Generator) -> int:
        """A flat position deep inside the mask; beyond the picture nothing is inside."""
        left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
        own = np.ascontiguousarray(mask[top : top + height, left : left + width]).view(np.uint8)
        framed = cv2.copyMakeBorder(own, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        depth = cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
        places = np.flatnonzero(depth > depth.max() / self.inner)
        row, column = divmod(int(places[rng.integers(len(places))]), width)
        return int((top + row) * mask.shape[1] + left + column)


@lru_cache(maxsize=32)
def cumulative(count: int, gamma: float) -> npt.NDArray[np.float64]:
    """The distribution function of 0 to `count` - 1 with probabilities that fall with `gamma`."""
    weights = gamma ** np.arange(count)
    totals: npt.NDArray[np.float64] = np.cumsum(weights / weights.sum())
    totals[-1] = 1.0
    return totals


def _from_pool(
    pool: Pool, count: int, known: dict[int, Places], rng: np.random.Generator
) -> Places:
    """`count` flat positions, with replacement; points that fall to an empty mask are left out.

    `known` keeps the positions of masks that were looked at, by their identity.
    """
    totals = np.cumsum([share for _, share in pool])
    which = np.searchsorted(totals, rng.random(count) * totals[-1], side="right")
    which = np.minimum(which, len(pool) - 1)
    points = np.full(count, PADDING, np.int64)
    for number in np.unique(which).tolist():
        mask = pool[number][0]
        if id(mask) not in known:
            known[id(mask)] = np.flatnonzero(mask)
        places = known[id(mask)]
        if len(places):
            own = which == number
            points[own] = places[rng.integers(len(places), size=np.count_nonzero(own))]
    found: Places = points[points != PADDING]
    return found


def _write(rows: Points, places: Places, width: int, index: int = SAMPLED) -> None:
    """Flat positions as rows of (row, column, index), from the first one on."""
    count = len(places)
    rows[:count, 0], rows[:count, 1] = np.divmod(places, width)
    rows[:count, 2] = index
