"""A mask is its crop and where that lies."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from backend.masks import Mask

PIXELS = arrays.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@given(PIXELS)
def test_a_mask_is_what_it_was_made_of(pixels: np.ndarray) -> None:
    mask = Mask.of(pixels)
    assert np.array_equal(mask.full, pixels)
    assert mask.area == pixels.sum()
    assert bool(mask) == pixels.any()


@given(PIXELS)
def test_the_box_is_tight(pixels: np.ndarray) -> None:
    mask = Mask.of(pixels)
    left, top, right, bottom = mask.box
    assert mask.crop.shape == (bottom - top, right - left)
    if mask:
        edges = (mask.crop[0], mask.crop[-1], mask.crop[:, 0], mask.crop[:, -1])
        assert all(edge.any() for edge in edges)
    else:
        assert mask.box == (0, 0, 0, 0)


@given(PIXELS, st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_a_region_is_laid_at_its_offset(pixels: np.ndarray, offset: tuple[int, int]) -> None:
    whole = np.zeros((30, 40), np.bool_)
    x, y = offset
    whole[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
    assert np.array_equal(Mask.of(pixels, offset, (30, 40)).full, whole)


@given(PIXELS, st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_bytes_bring_it_back(pixels: np.ndarray, offset: tuple[int, int]) -> None:
    mask = Mask.of(pixels, offset, (30, 40))
    back = Mask.from_bytes(mask.to_bytes())
    assert (back.size, back.box) == (mask.size, mask.box)
    assert np.array_equal(back.crop, mask.crop)


def test_an_empty_mask_has_a_size() -> None:
    assert Mask.empty((3, 5)).full.shape == (3, 5)
    assert not Mask.from_bytes(Mask.empty((3, 5)).to_bytes())
