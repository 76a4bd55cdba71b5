"""RoIAlign against its definition, sample by sample."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models.roi_align import roi_align


def sampled(x: Tensor, y: float, column: float) -> Tensor:
    """One bilinear sample of [C, h, w], zero more than a pixel beyond it."""
    _, height, width = x.shape
    if not (-1 <= y <= height and -1 <= column <= width):
        return x.new_zeros(x.shape[0])
    y, column = min(max(y, 0.0), height - 1.0), min(max(column, 0.0), width - 1.0)
    top, left = int(y), int(column)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = y - top, column - left
    upper = x[:, top, left] * (1 - across) + x[:, top, right] * across
    lower = x[:, bottom, left] * (1 - across) + x[:, bottom, right] * across
    return upper * (1 - down) + lower * down


def by_definition(x: Tensor, region: list[float], size: tuple[int, int], scale: float) -> Tensor:
    """Each bin as the mean of a grid of samples: He et al., section 3."""
    left, top, right, bottom = (edge * scale for edge in region)
    heights, widths = (bottom - top) / size[0], (right - left) / size[1]
    counts = max(1, math.ceil(heights)), max(1, math.ceil(widths))
    out = x.new_zeros(x.shape[0], *size)
    for i in range(size[0]):
        for j in range(size[1]):
            for a in range(counts[0]):
                for b in range(counts[1]):
                    y = top - 0.5 + (i + (a + 0.5) / counts[0]) * heights
                    column = left - 0.5 + (j + (b + 0.5) / counts[1]) * widths
                    out[:, i, j] += sampled(x, y, column) / (counts[0] * counts[1])
    return out


@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize(
    "regions",
    [
        [[0, 0, 20, 14], [3.5, 2.25, 9.75, 11]],
        [[-8, -6, 30, 25], [5, 5, 5.5, 5.25]],
        [[0, 0, 60, 44], [17, 1, 19, 40]],
    ],
    ids=["inside", "beyond and tiny", "shrunk"],
)
def test_bins_are_means_of_samples(regions: list[list[float]], scale: float) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 14, 20, dtype=torch.float64)
    found = roi_align(x, torch.tensor(regions), (5, 7), scale)
    for index, region in enumerate(regions):
        wanted = by_definition(x[index], region, (5, 7), scale)
        torch.testing.assert_close(found[index], wanted, rtol=0, atol=1e-12)


def test_whole_map_at_its_own_size_stays() -> None:
    x = torch.randn(1, 2, 6, 8)
    torch.testing.assert_close(roi_align(x, torch.tensor([[0.0, 0, 8, 6]]), (6, 8)), x)


def test_gradient_reaches_the_map() -> None:
    x = torch.randn(1, 1, 6, 8, requires_grad=True)
    roi_align(x, torch.tensor([[2.0, 1, 6, 5]]), (4, 4)).sum().backward()
    assert x.grad is not None
    assert x.grad[0, 0, 1:5, 2:6].min() > 0
    assert x.grad.sum() == pytest.approx(16)
