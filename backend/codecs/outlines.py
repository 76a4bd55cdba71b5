"""The exact outlines of a mask: closed walks along the edges between pixels.

OpenCV's border following (Suzuki and Abe, 1985) walks over the pixels of a border, with the
background always to its right. At each pixel the neighbours that it skipped between the step in
and the step out are background, so each upright neighbour among them marks one pixel edge of the
outline. That turns a walk over pixel centres, which lies half a pixel inside the object, into the
walk around them, which is the mask itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

# Eight directions, clockwise on the screen from the east, as (x, y) with y down.
STEPS = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
# Where the edge towards the east, south, west and north begins, with the background on the right.
EDGE_STARTS = {0: (1, 1), 2: (0, 1), 4: (0, 0), 6: (1, 0)}
LONE_PIXEL = np.array([EDGE_STARTS[direction] for direction in (6, 4, 2, 0)])


@dataclass(frozen=True)
class Outlines:
    """All rings of a mask, one after another.

    `corners` is int64 Nx2 of (x, y): the start of each unit edge; ring k is
    `corners[starts[k] : starts[k + 1]]`, closed. `parents[k]` is -1 for the outer ring of a part
    (a set of pixels that touch by edge or corner), otherwise the ring of the part it is a hole of.
    """

    corners: Integers
    starts: Integers
    parents: Integers

    @property
    def areas(self) -> Integers:
        """Pixels enclosed by each ring: holes count into their part's outer ring."""
        x, y = self.corners.T
        following = self.following()
        twice = x * y[following] - x[following] * y
        sums = np.concatenate([[0], np.cumsum(twice)])
        return np.abs(np.diff(sums[self.starts])) // 2

    def following(self) -> Integers:
        """For each corner the index of the next one of its ring."""
        indices = np.arange(1, len(self.corners) + 1)
        indices[self.starts[1:] - 1] = self.starts[:-1]
        return indices

    def ring(self, index: int) -> npt.NDArray[np.float64]:
        """float64 Nx2: the midpoints of the ring's edges, in order."""
        corners = self.corners[self.starts[index] : self.starts[index + 1]]
        return (corners + np.roll(corners, -1, axis=0)) / 2


def outlines(array: npt.NDArray[np.bool_]) -> Outlines:
    """The outlines of a bool HxW array."""
    borders, hierarchy = cv2.findContours(
        array.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    if not borders:
        nothing = np.zeros((0, 2), np.int64)
        return Outlines(nothing, np.zeros(1, np.int64), np.zeros(0, np.int64))
    lengths = np.array([len(border) for border in borders])
    pixels = np.concatenate(borders)[:, 0].astype(np.int64)
    ends = np.cumsum(lengths)
    corners, counts = _corners(pixels, ends - lengths, ends)
    sums = np.concatenate([[0], np.cumsum(counts)])
    starts = sums[np.concatenate([[0], ends])]
    return Outlines(corners, starts, hierarchy[0, :, 3].astype(np.int64))


def _corners(pixels: Integers, firsts: Integers, ends: Integers) -> tuple[Integers, Integers]:
    """The edge starts around each border pixel, and how many there are per pixel."""
    following = np.arange(1, len(pixels) + 1)
    following[ends - 1] = firsts
    step = pixels[following] - pixels
    step_out = DIRECTIONS[step[:, 1] + 1, step[:, 0] + 1]
    step_in = np.empty_like(step_out)
    step_in[following] = step_out
    counts = EDGE_COUNTS[step_in, step_out]
    offsets = EDGE_OFFSETS[step_in, step_out]
    lone = firsts[ends - firsts == 1]
    counts[lone], offsets[lone] = len(LONE_PIXEL), LONE_PIXEL
    chosen = np.arange(len(LONE_PIXEL)) < counts[:, None]
    return (pixels[:, None] + offsets)[chosen], counts


def _tables() -> tuple[Integers, Integers, Integers]:
    """Direction by step; and by directions in and out: edges passed, and where they start."""
    directions = np.zeros((3, 3), np.int64)
    for direction, (x, y) in enumerate(STEPS):
        directions[y + 1, x + 1] = direction
    counts = np.zeros((8, 8), np.int64)
    offsets = np.zeros((8, 8, 4, 2), np.int64)
    for step_in in range(8):
        for step_out in range(8):
            skipped = (step_in + 3 - step_out) % 8
            passed = [(step_in + 3 - turn) % 8 for turn in range(skipped)]
            starts = [EDGE_STARTS[direction] for direction in passed if direction % 2 == 0]
            counts[step_in, step_out] = len(starts)
            offsets[step_in, step_out, : len(starts)] = np.reshape(starts, (-1, 2))
    return directions, counts, offsets


DIRECTIONS, EDGE_COUNTS, EDGE_OFFSETS = _tables()
