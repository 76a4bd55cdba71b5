"""Bilinear resampling of pictures and maps, corner pixels on corner pixels (align_corners)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from models.zoom import Roi, Size


def resized(x: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """[B, C, h, w] float to `size` = (H, W); the tensor itself where that is its size."""
    if x.shape[-2:] == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)


def spread(first: float, last: float, count: int) -> Tensor:
    """`count` positions from `first` to `last`, both included; only `first` for a count of 1.

    The steps are rounded as `F.interpolate` rounds them, so that both read the same places.
    """
    step = torch.tensor((last - first) / max(count - 1, 1), dtype=torch.float32)
    return first + (step * torch.arange(count)).double()


def gathered(array: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Values of [H, W] or [H, W, C] at every pair of a row and a column; float32.

    `rows` [h] and `columns` [w] are float64 positions in pixels from the first, within the array.
    Only pixels next to a position are read, and only they are converted: a crop of a large uint8
    picture costs what the result costs.
    """
    above, below, down = _neighbours(rows, array.shape[0])
    left, right, across = _neighbours(columns, array.shape[1])
    trailing = (1,) * (array.dim() - 2)
    down, across = down.view(-1, 1, *trailing), across.view(-1, *trailing)

    def row(at: Tensor) -> Tensor:
        line = array.index_select(0, at)
        start, end = (line.index_select(1, column).float() for column in (left, right))
        return start.lerp_(end, across.expand_as(start))

    first = row(above)
    return first.lerp_(row(below), down.expand_as(first))


def cropped(image: Tensor, source: Roi, size: Size) -> Tensor:
    """A region of a picture, uint8 [H, W, 3], resampled to float32 [3, *size] in [0, 1]."""
    rows = spread(source.top, source.bottom, size[0])
    columns = spread(source.left, source.right, size[1])
    return gathered(image, rows, columns).permute(2, 0, 1).div_(255)


def moved(field: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """`gathered` from a map [h, w] at positions that may leave it: outside of it all is zero.

    Up to one pixel beyond its edge the map fades out.
    """
    height, width = field.shape
    down, across = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    values = gathered(field, down, across)
    fading = (
        (1 - (at - near).abs()).clamp_(min=0) for at, near in ((rows, down), (columns, across))
    )
    return values * next(fading).float()[:, None] * next(fading).float()


def _neighbours(at: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The pixels before and after each position, and the share (float32) of the second."""
    before = at.floor().long().clamp_(0, count - 1)
    after = (before + 1).clamp_(max=count - 1)
    return before, after, (at - before).float()
