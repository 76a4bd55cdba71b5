"""How a picture lies in the network's square, and how masks come back."""

from __future__ import annotations

import numpy as np
import pytest

from models.sam_frame import MASK_LOGIT, Frame

SIDE = 64
SIZES = [(36, 48), (100, 30), (64, 64), (7, 90), (500, 333), (1200, 1600)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(6))
def test_the_region_holds_every_positive_pixel(size: tuple[int, int], seed: int) -> None:
    random = np.random.default_rng(seed)
    low = random.normal(-2.5, 1, (SIDE // 4, SIDE // 4)).astype(np.float32)
    frame = Frame.of(size, SIDE)
    left, top, right, bottom = frame.region(low)
    positive = frame.logits(low) > 0
    inside = positive[top:bottom, left:right]
    assert np.count_nonzero(inside) == np.count_nonzero(positive)
    assert 0 <= left <= right <= size[1]
    assert 0 <= top <= bottom <= size[0]


def test_a_small_mask_has_a_small_region() -> None:
    low = np.full((16, 16), -5, np.float32)
    low[4:6, 4:6] = 5
    left, top, right, bottom = Frame.of((640, 640), SIDE).region(low)
    assert right - left <= 300
    assert bottom - top <= 300
    low[:] = -5
    assert Frame.of((640, 640), SIDE).region(low) == (0, 0, 0, 0)


def test_a_mask_in_the_padding_is_nothing() -> None:
    low = np.full((16, 16), -5, np.float32)
    low[14:, :] = 5
    frame = Frame.of((20, 64), SIDE)
    assert frame.region(low) == (0, 0, 0, 0)
    assert not (frame.logits(low) > 0).any()


@pytest.mark.parametrize("size", SIZES)
def test_a_mask_goes_into_the_frame_and_back(size: tuple[int, int]) -> None:
    mask = np.zeros(size, bool)
    mask[size[0] // 4 : size[0] // 2, size[1] // 4 : size[1] // 2] = True
    frame = Frame.of(size, 1024)
    low = frame.mask_logits(mask)
    assert low.shape == (256, 256)
    assert low.dtype == np.float32
    assert low.min() == -MASK_LOGIT
    assert low.max() == MASK_LOGIT
    back = frame.logits(low) > 0
    assert np.count_nonzero(back & mask) / np.count_nonzero(back | mask) > 0.9


def test_positions_are_pixels_of_the_map() -> None:
    frame = Frame.of((512, 1024), 1024)
    assert frame.map_position((0, 0)) == (0, 0)
    assert frame.map_position((1023, 511)) == (127, 255)
    assert frame.map_position((5000, -20)) == (0, 255)
    assert frame.inside(np.zeros((4, 256, 256), np.float32)).shape == (4, 128, 256)


def test_a_line_is_too_narrow() -> None:
    with pytest.raises(ValueError, match="too narrow"):
        Frame.of((1, 2100), 1024)
