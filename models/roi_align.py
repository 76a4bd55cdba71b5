"""RoIAlign: a region of a map resampled to a fixed size, averaged where it shrinks.

He et al., "Mask R-CNN", ICCV 2017, section 3, with the half-pixel correction that torchvision
calls `aligned` and as many samples a bin as it spans pixels (`sampling_ratio=-1`). Rows and
columns are independent, so the whole is two small matrix products.
"""

from __future__ import annotations

import torch
from torch import Tensor


def roi_align(x: Tensor, regions: Tensor, size: tuple[int, int], scale: float = 1.0) -> Tensor:
    """One region of each map: float [B, C, h, w] and [B, 4] -> [B, C, *size].

    A region is (left, top, right, bottom), edges between pixels being whole numbers, in pixels of
    a picture that the map is `scale` times as large as. More than one pixel beyond the map all is
    zero. `regions` may be on another device than the map.
    """
    left, top, right, bottom = (regions.double() * scale).unbind(1)
    down = weights(top, bottom, x.shape[2], size[0]).to(x)
    across = weights(left, right, x.shape[3], size[1]).to(x)
    return torch.matmul(torch.matmul(down[:, None], x), across[:, None].transpose(2, 3))


def weights(start: Tensor, end: Tensor, length: int, bins: int) -> Tensor:
    """How much each of `length` pixels counts in each of `bins` between two edges.

    Edges are float64 [B], the result is float64 [B, bins, length]. A bin is the mean of evenly
    spaced samples, and a sample that of the two pixels around it by their distance.
    """
    width = (end - start) / bins
    samples = width.ceil().clamp_(min=1)
    index = torch.arange(int(samples.max()), device=start.device)
    bin_index = torch.arange(bins, device=start.device)[None, :, None]
    within = (index + 0.5) / samples[:, None]
    at = (start - 0.5)[:, None, None] + (bin_index + within[:, None]) * width[:, None, None]
    counted = (at >= -1) & (at <= length) & (index < samples[:, None])[:, None]
    portion = counted / samples[:, None, None]
    at = at.clamp(0, length - 1)
    before = at.floor()
    share = at - before
    first = before.long()
    matrix = start.new_zeros(len(start), bins, length)
    matrix.scatter_add_(2, first, portion * (1 - share))
    return matrix.scatter_add_(2, (first + 1).clamp_(max=length - 1), portion * share)
