"""Strokes that a simulated annotator draws into a region: its skeleton, made smooth.

As the robot of the DAVIS interactive challenge does (Caelles et al., "The 2018 DAVIS Challenge on
Video Object Segmentation", section 4): the region is opened, thinned, and the longest path through
each part of its skeleton becomes a Bezier curve. Thinning is that of Zhang and Suen (1984), in
place of the medial axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import csgraph
from scipy.special import gammaln

Mask = npt.NDArray[np.bool_]
Path = npt.NDArray[np.float64]
"""[N, 2] of (x, y) in pixels, whole numbers being the centres of pixels."""

CURVE_POINTS = 1000

SHRINKING = 0.9
"""An opening that leaves nothing is tried again with a radius this much smaller."""

_NEIGHBOURS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
"""(row, column) steps, clockwise from above: bits 0 to 7 of a neighbourhood's code."""


@dataclass(frozen=True)
class Robot:
    """How regions are opened, and which paths are worth drawing.

    The opening's radius is `kernel` times half the square root of the region's area, at most
    `most_radius`. Paths of fewer than `least_nodes` pixels are left out.
    """

    kernel: float = 0.2
    most_radius: float = 16.0
    least_nodes: int = 4

    def strokes(self, region: Mask) -> list[Path]:
        """Curves of 1000 points along the skeleton of bool [H, W], one for each of its parts."""
        skeleton = thinned(self._opened(region))
        paths = longest_paths(skeleton)
        return [bezier(path) for path in paths if len(path) >= self.least_nodes]

    def _opened(self, region: Mask) -> Mask:
        radius = min(self.kernel * float(np.sqrt(region.sum())) / 2, self.most_radius)
        while radius >= 1:
            opened = cv2.morphologyEx(region.view(np.uint8), cv2.MORPH_OPEN, disc(radius))
            if opened.any():
                return opened > 0
            radius *= SHRINKING
        return region


def disc(radius: float) -> npt.NDArray[np.uint8]:
    """Pixels no further than `radius` from the middle one, as 0 and 1."""
    reach = np.arange(-int(radius), int(radius) + 1)
    near: npt.NDArray[np.uint8] = (reach[:, None] ** 2 + reach**2 <= radius**2).astype(np.uint8)
    return near


def thinned(mask: Mask) -> Mask:
    """Lines one pixel wide that are connected as bool [H, W] is (Zhang and Suen, 1984)."""
    kernel = np.zeros((3, 3), np.float32)
    for bit, (row, column) in enumerate(_NEIGHBOURS):
        kernel[1 + row, 1 + column] = 1 << bit
    left = np.ascontiguousarray(mask).view(np.uint8).copy()
    while True:
        before = left.copy()
        for half in ("first", "second"):
            code = cv2.filter2D(left, -1, kernel, borderType=cv2.BORDER_CONSTANT)
            left &= ~_removable(half)[code] & 1
        if np.array_equal(left, before):
            return left.view(np.bool_)


@cache
def _removable(half: Literal["first", "second"]) -> npt.NDArray[np.uint8]:
    """For every neighbourhood, whether one half of a round takes its middle away; 0 or 1."""
    codes = np.arange(256)
    bits = (codes[:, None] >> np.arange(8)) & 1
    rises = ((bits == 0) & (np.roll(bits, -1, axis=1) == 1)).sum(axis=1)
    above, right, below, left = (bits[:, index] for index in (0, 2, 4, 6))
    count = bits.sum(axis=1)
    if half == "first":
        outside = (above * right * below == 0) & (right * below * left == 0)
    else:
        outside = (above * right * left == 0) & (above * below * left == 0)
    taken: npt.NDArray[np.uint8] = ((count >= 2) & (count <= 6) & (rises == 1) & outside).astype(
        np.uint8
    )
    return taken


def longest_paths(skeleton: Mask) -> list[Path]:
    """For each part of a skeleton, the longest of the shortest paths between two of its pixels.

    Where a part has loops, a long one rather than the longest is found. A lone pixel is a path.
    """
    rows, columns = skeleton.nonzero()
    if not len(rows):
        return []
    graph = _graph(skeleton, rows, columns)
    count, part_of = csgraph.connected_components(graph, directed=False)
    starts = [int(np.argmax(part_of == part)) for part in range(count)]
    return [_longest(graph, start, rows, columns) for start in starts]


def _graph(
    skeleton: Mask, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
) -> sparse.csr_matrix:
    """Pixels as nodes; the length of an edge is 1 straight on and the root of 2 across."""
    number = np.full((skeleton.shape[0] + 2, skeleton.shape[1] + 2), -1)
    number[rows + 1, columns + 1] = np.arange(len(rows))
    edges = []
    for row, column in _NEIGHBOURS:
        other = number[rows + 1 + row, columns + 1 + column]
        known = (other >= 0).nonzero()[0]
        edges.append((known, other[known], np.full(len(known), np.hypot(row, column))))
    first, second, length = (np.concatenate(values) for values in zip(*edges, strict=True))
    return sparse.csr_matrix((length, (first, second)), shape=(len(rows), len(rows)))


def _longest(
    graph: sparse.csr_matrix,
    start: int,
    rows: npt.NDArray[np.intp],
    columns: npt.NDArray[np.intp],
) -> Path:
    """From the pixel that is furthest from any to the one furthest from that."""
    end = _furthest(csgraph.dijkstra(graph, indices=start))
    distance, previous = csgraph.dijkstra(graph, indices=end, return_predecessors=True)
    at = _furthest(distance)
    nodes = [at]
    while at != end:
        at = int(previous[at])
        nodes.append(at)
    return np.stack([columns[nodes], rows[nodes]], axis=1).astype(np.float64)


def _furthest(distance: npt.NDArray[np.float64]) -> int:
    return int(np.argmax(np.where(np.isfinite(distance), distance, -1)))


def bezier(points: Path, count: int = CURVE_POINTS) -> Path:
    """`count` points of the Bezier curve that has [N, 2] as its control points."""
    degree = len(points) - 1
    order = np.arange(degree + 1)
    choices = gammaln(degree + 1) - gammaln(order + 1) - gammaln(degree - order + 1)
    # Near the ends a logarithm of 0 would come up; the ends themselves are known.
    t = np.linspace(0, 1, count)[1:-1, None]
    weights = np.exp(choices + order * np.log(t) + (degree - order) * np.log1p(-t))
    return np.concatenate([points[:1], weights @ points, points[-1:]])
