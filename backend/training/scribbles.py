"""Strokes and flawed masks that a training of S2M draws, in place of an annotator.

Cheng, Tai, Tang, "Modular Interactive Video Object Segmentation", CVPR 2021, supplement; numbers
as in the authors' program. Strokes correct a mask: positive ones lie in what it misses, negative
ones in what it has too much.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from backend.evaluation.strokes import Mask, Path, Robot, bezier, thinned

Plane = npt.NDArray[np.uint8]
"""[H, W] of 0 and 1."""

LEAST_AREA = 100
"""Pixels of an object, or of what is around it, below which no stroke from there is added."""

SQUARE = np.ones((3, 3), np.uint8)

ROBOT = Robot(kernel=0.15, most_radius=16.0, least_nodes=1)
"""No path is too short, as the authors have it."""


@dataclass(frozen=True)
class ScribbleSampler:
    """How often which strokes are drawn.

    A correction is the robot's with probability `robot`, unless it begins from nothing. Else each
    part of a region gets a boundary, a thin line or curves, and with `second` two of them. With
    `anywhere`, and wherever there would be no stroke at all, curves from the whole object and from
    what is around it are added.
    """

    robot: float = 0.75
    second: float = 0.3
    anywhere: float = 0.3
    of_robot: Robot = field(default=ROBOT)

    def sample(self, truth: Mask, previous: Mask, rng: np.random.Generator) -> Plane:
        """Strokes that lead from `previous` to `truth`, both bool [H, W]: uint8 [2, H, W].

        The first plane has the positive strokes. What lies beside its region by a pixel or two is
        as in the original.
        """
        by_robot = bool(previous.any()) and rng.random() < self.robot
        missed, surplus = truth & ~previous, previous & ~truth
        planes = [
            self._by_robot(region) if by_robot else self._by_hand(region, rng)
            for region in (missed, surplus)
        ]
        if not any(plane.any() for plane in planes) or rng.random() < self.anywhere:
            for index, region in enumerate((truth, ~truth)):
                if region.sum() >= LEAST_AREA:
                    planes[index] |= curves(region, rng, most=4, longest=False)
        return np.stack(planes)

    def _by_robot(self, region: Mask) -> Plane:
        """Smooth lines along the middle, found at half the size."""
        height, width = region.shape
        half = (max(1, width // 2), max(1, height // 2))
        small = cv2.resize(region.astype(np.float32), half, interpolation=cv2.INTER_AREA) > 0.5
        drawn = np.zeros(region.shape, np.uint8)
        if small.any():
            for path in self.of_robot.strokes(small):
                _draw(drawn, path * 2, 1)
        return cv2.dilate(drawn, SQUARE).astype(np.uint8)

    def _by_hand(self, region: Mask, rng: np.random.Generator) -> Plane:
        """Strokes in every part of a region that is not too small."""
        drawn = np.zeros(region.shape, np.uint8)
        opened = cv2.morphologyEx(
            region.view(np.uint8), cv2.MORPH_OPEN, _ellipse(int(rng.integers(5, 20)))
        )
        count, part_of = cv2.connectedComponents(opened, connectivity=8)
        for part in range(1, count):
            own = part_of == part
            if own.sum() < rng.integers(10, 100):
                continue
            drawn |= _any_kind(own, rng)
            if rng.random() < self.second:
                drawn |= _any_kind(own, rng)
        return drawn


def boundary(region: Mask, rng: np.random.Generator) -> Plane:
    """A line along the edge, some way inside, with gaps."""
    inner = cv2.erode(
        region.view(np.uint8),
        _ellipse(int(rng.integers(3, 50))),
        borderType=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    edge = cv2.morphologyEx(inner, cv2.MORPH_GRADIENT, SQUARE)
    return _with_gaps(edge.astype(np.uint8), rng)


def middle_line(region: Mask, rng: np.random.Generator) -> Plane:
    """The region thinned to lines, made 3 pixels wide, with gaps."""
    lines = cv2.dilate(thinned(region).view(np.uint8), SQUARE)
    return _with_gaps(lines.astype(np.uint8), rng)


def curves(region: Mask, rng: np.random.Generator, *, most: int = 3, longest: bool = True) -> Plane:
    """Curves through three random places of a region, cut to a little more than the region.

    Ten are tried and 2 to `most` kept: those with the most pixels, or with `longest` off any.
    """
    reach = int(rng.integers(3, 7))
    around = cv2.dilate(region.view(np.uint8), _ellipse(reach)).astype(np.uint8)
    rows, columns = region.nonzero()
    tried: list[Plane] = []
    for _ in range(10 if len(rows) else 0):
        chosen = rng.integers(len(rows), size=3)
        corners = np.stack([columns[chosen], rows[chosen]], axis=1).astype(np.float64)
        plane = np.zeros(region.shape, np.uint8)
        _draw(plane, bezier(corners, 100), 3)
        tried.append(np.minimum(plane, around))
    if longest:
        tried.sort(key=lambda plane: -int(plane.sum()))
    kept = tried[: int(rng.integers(2, most + 1))]
    every: Plane = np.maximum.reduce([np.zeros(region.shape, np.uint8), *kept])
    return every


KINDS: Sequence[Callable[[Mask, np.random.Generator], Plane]] = (boundary, middle_line, curves)


def perturbed(truth: Mask, rng: np.random.Generator, quality: float | None = None) -> Mask:
    """bool [H, W] grown, shrunk and pierced until its IoU with itself as it was is below `quality`.

    None draws the quality between 0.4 and 0.95. After 1000 changes it is left as it is.
    """
    if quality is None:
        quality = float(rng.uniform(0.4, 0.95))
    changed = truth.astype(np.uint8)
    if min(truth.shape) <= 2:
        return truth.copy()
    for _ in range(250):
        for _ in range(4):
            _change(changed, rng)
        union = np.logical_or(changed, truth).sum()
        if np.logical_and(changed, truth).sum() < quality * union:
            break
    return changed > 0


def _change(mask: Plane, rng: np.random.Generator) -> None:
    """Grow or shrink what lies in a random rectangle, after setting its middle now and then."""
    height, width = mask.shape
    left, top = int(rng.integers(width)), int(rng.integers(height))
    right, bottom = int(rng.integers(left + 1, width + 1)), int(rng.integers(top + 1, height + 1))
    if rng.random() < 0.1:
        mask[(top + bottom) // 2, (left + right) // 2] = rng.integers(2)
    part = np.ascontiguousarray(mask[top:bottom, left:right])
    change = cv2.dilate if rng.random() < 0.5 else cv2.erode
    mask[top:bottom, left:right] = change(part, _element(rng))


def _element(rng: np.random.Generator) -> Plane:
    """A rectangle, an ellipse, or one lying or standing flat, of 3 to 9 pixels."""
    long = int(rng.integers(3, 10))
    flat = long // 2
    shapes = (
        (cv2.MORPH_RECT, (long, long)),
        (cv2.MORPH_ELLIPSE, (long, long)),
        (cv2.MORPH_ELLIPSE, (long, flat)),
        (cv2.MORPH_ELLIPSE, (flat, long)),
    )
    return cv2.getStructuringElement(*shapes[int(rng.integers(4))]).astype(np.uint8)


def _any_kind(region: Mask, rng: np.random.Generator) -> Plane:
    return KINDS[int(rng.integers(len(KINDS)))](region, rng)


def _with_gaps(drawn: Plane, rng: np.random.Generator) -> Plane:
    """The same, eroded in four random rectangles."""
    height, width = drawn.shape
    for _ in range(4):
        left, top = int(rng.integers(width)), int(rng.integers(height))
        right = int(rng.integers(left + 1, width + 1))
        bottom = int(rng.integers(top + 1, height + 1))
        part = np.ascontiguousarray(drawn[top:bottom, left:right])
        drawn[top:bottom, left:right] = cv2.erode(part, _ellipse(int(rng.integers(5, 10))))
    return drawn


def _ellipse(side: int) -> Plane:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)).astype(np.uint8)


def _draw(plane: Plane, path: Path, thickness: int) -> None:
    """A polyline through the pixels under a path."""
    places = [(int(x), int(y)) for x, y in path]
    for start, end in pairwise(places):
        cv2.line(plane, start, end, 1, thickness=thickness)
    if len(places) == 1:
        cv2.line(plane, places[0], places[0], 1, thickness=thickness)
