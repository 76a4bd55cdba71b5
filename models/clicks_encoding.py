"""Clicks as maps of a picture's size, for networks that see clicks as channels.

Sofiiuk et al., "Reviving Iterative Training with Mask Guidance for Interactive Segmentation",
2022, section 3: disks of a fixed radius. Before that: distances through a tanh, as in "f-BRS:
Rethinking Backpropagating Refinement for Interactive Segmentation", 2020.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

FAR = 1e6
"""Squared distance, in units of the radius, to a click that is not there."""

ABSENT = (-1.0, -1.0, -1.0)
"""A row of a points tensor that stands for no click."""

Positions = Sequence[tuple[float, float, bool]]
"""(row, column, positive) of clicks in the order of clicking."""


class DistMaps(nn.Module):
    """Two maps of a picture's size, for positive and for negative clicks. No parameters.

    With `disks` a pixel is 1 within `radius` of a click, otherwise 0. Without, it is
    tanh(2 * distance / radius): 0 at a click, 1 far from all. With `whole_pixels` clicks are first
    rounded to whole pixels, halves to even, and dropped where that lies outside the picture;
    without, a click counts wherever it is unless both its coordinates are negative. `overrun`
    adds to `whole_pixels` what the original's demo does to a click outside: its unchecked write
    marks the one pixel that lies at the click's place in memory, row after row, map after map.
    """

    def __init__(self, radius: float, *, disks: bool, whole_pixels: bool = False) -> None:
        super().__init__()
        self.radius = float(radius)
        self.disks = disks
        self.whole_pixels = whole_pixels
        self.overrun = False

    def forward(self, points: Tensor, size: tuple[int, int]) -> Tensor:
        """Points [B, 2P, 3] (row, column, order), int or float -> float32 [B, 2, H, W].

        The first P rows are positive clicks, the others negative ones; `ABSENT` rows are none.
        """
        if self.disks:
            return (self._squared_distances(points, size, 1) <= self.radius**2).float()
        return self._squared_distances(points, size, self.radius).sqrt_().mul_(2).tanh_()

    def _squared_distances(self, points: Tensor, size: tuple[int, int], unit: float) -> Tensor:
        """To the nearest click of each sign, in squares of `unit` pixels: [B, 2, H, W]."""
        height, width = size
        batch, count, _ = points.shape
        places = points[..., :2].float()
        absent = places.amax(dim=2) < 0
        if self.whole_pixels:
            places = places.round()
            limits = places.new_tensor([height, width])
            absent = ((places < 0) | (places >= limits)).any(dim=2)
        rows = torch.arange(height, device=points.device, dtype=torch.float32)
        columns = torch.arange(width, device=points.device, dtype=torch.float32)
        vertical = (rows - places[:, :, :1]).div_(unit).square_()
        horizontal = (columns - places[:, :, 1:]).div_(unit).square_()
        vertical[absent] = FAR * (self.radius / unit) ** 2
        vertical = vertical.view(batch, 2, count // 2, height, 1)
        horizontal = horizontal.view(batch, 2, count // 2, 1, width)
        # One click after another: all at once would take memory for every pixel and every click.
        nearest = vertical[:, :, 0] + horizontal[:, :, 0]
        for slot in range(1, count // 2):
            torch.minimum(nearest, vertical[:, :, slot] + horizontal[:, :, slot], out=nearest)
        if self.whole_pixels and self.overrun:
            _overrun(nearest, places)
        return nearest


def _overrun(nearest: Tensor, places: Tensor) -> None:
    """Zero, in [B, 2, H, W], the pixels that clicks [B, 2P, 2] outside the picture fall on."""
    batch, maps, height, width = nearest.shape
    rows, columns = places.long().unbind(dim=2)
    sign = torch.arange(rows.shape[1], device=rows.device) // (rows.shape[1] // maps)
    index = (sign * height + rows) * width + columns
    outside = (rows >= height) | (columns < 0) | (columns >= width)
    marked = outside & (rows >= 0) & (index >= 0) & (index < maps * height * width)
    which = torch.arange(batch, device=rows.device)[:, None].expand_as(index)
    nearest.view(batch, -1)[which[marked], index[marked]] = 0


def points_tensor(lists: Sequence[Positions], device: torch.device | str = "cpu") -> Tensor:
    """Click lists as one float32 [B, 2P, 3] tensor: positives padded to P, then negatives.

    P is the largest number of clicks of one sign in any list, and at least 1.
    """
    counts = (sum(sign == click[2] for click in clicks) for clicks in lists for sign in (0, 1))
    slots = max(1, *counts)
    points = np.full((len(lists), 2, slots, 3), ABSENT, np.float32)
    for index, clicks in enumerate(lists):
        used = [0, 0]
        for order, (row, column, positive) in enumerate(clicks):
            side = 0 if positive else 1
            points[index, side, used[side]] = (row, column, order)
            used[side] += 1
    return torch.from_numpy(points.reshape(len(lists), 2 * slots, 3)).to(device)


def mirrored(clicks: Positions, width: int) -> Positions:
    """The same clicks on a picture of `width` columns flipped left to right."""
    return tuple((row, width - column - 1, positive) for row, column, positive in clicks)
