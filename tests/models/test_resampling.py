"""Bilinear resampling against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from models.resampling import cropped, gathered, moved, resized, spread
from models.zoom import Roi


def reference(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(x[None, None], size=size, mode="bilinear", align_corners=True)[0, 0]


@pytest.mark.parametrize("size", [(7, 9), (1, 1), (40, 3), (64, 64)])
def test_whole_map_as_torch_resamples_it(size: tuple[int, int]) -> None:
    field = torch.rand(33, 50)
    values = gathered(field, spread(0, 32, size[0]), spread(0, 49, size[1]))
    torch.testing.assert_close(values, reference(field, size), rtol=0, atol=1e-6)


def test_crop_of_a_uint8_picture_as_torch_resamples_it() -> None:
    image = torch.randint(0, 256, (300, 400, 3), dtype=torch.uint8)
    values = gathered(image, spread(20, 219, 50), spread(100, 399, 75))
    crop = image[20:220, 100:400].permute(2, 0, 1).float()
    wanted = resized(crop[None], (50, 75))[0].permute(1, 2, 0)
    torch.testing.assert_close(values, wanted, rtol=0, atol=1e-3)
    shown = cropped(image, Roi(20, 219, 100, 399), (50, 75))
    assert torch.equal(shown, values.permute(2, 0, 1) / 255)


def test_same_size_is_the_same_tensor() -> None:
    x = torch.rand(1, 2, 5, 6)
    assert resized(x, (5, 6)) is x


def test_map_moved_by_whole_pixels_leaves_zeros_behind() -> None:
    field = torch.rand(6, 8)
    values = moved(field, spread(-2, 3, 6), spread(3, 10, 8))
    assert torch.equal(values[2:, :5], field[:4, 3:])
    assert not values[:2].any()
    assert not values[:, 5:].any()


def test_map_fades_out_within_a_pixel_of_its_edge() -> None:
    values = moved(torch.ones(4, 4), torch.tensor([-0.25, 3.5]).double(), spread(0, 3, 4))
    assert values[0].tolist() == [0.75] * 4
    assert values[1].tolist() == [0.5] * 4


def test_half_precision_map_is_read_in_single_precision() -> None:
    values = moved(torch.rand(5, 5).half(), spread(0, 4, 9), spread(0, 4, 9))
    assert values.dtype == torch.float32
