"""CVAT's run lengths, rows and contours, checked by CVAT's own SDK."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cvat_sdk.masks import decode_mask, encode_mask
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from backend.codecs import cvat
from backend.codecs.polygons import fill
from backend.masks import Mask

pictures = arrays(
    np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=20), elements=st.booleans()
)


@given(pictures)
def test_runs_are_those_of_the_sdk(array: np.ndarray) -> None:
    runs = cvat.runs(Mask.of(array))
    assert runs == encode_mask(array)
    height, width = array.shape
    np.testing.assert_array_equal(decode_mask(runs, image_width=width, image_height=height), array)


def test_runs_begin_with_background_and_end_with_an_inclusive_box() -> None:
    array = np.zeros((6, 8), np.bool_)
    array[2, 3:6] = array[3, 4] = True
    assert cvat.runs(Mask.of(array)) == [0, 3, 1, 1, 1, 3, 2, 5, 3]


def test_an_empty_mask_has_five_numbers() -> None:
    runs = cvat.runs(Mask.empty((4, 5)))
    assert runs == encode_mask(np.zeros((4, 5), np.bool_)) == [1, 0, 0, 0, 0]


def test_numbers_are_plain_integers() -> None:
    assert all(type(number) is int for number in cvat.runs(Mask.of(np.eye(4, dtype=np.bool_))))


@given(pictures)
def test_json_texts_are_those_of_the_rows(array: np.ndarray) -> None:
    mask = Mask.of(array)
    rows, bounds = cvat.cropped(mask)
    assert json.loads(cvat.full_mask_json(mask)) == cvat.full_mask_rows(mask) == array.tolist()
    assert json.loads(cvat.cropped_json(mask)) == rows
    assert cvat.full_mask_json(mask) == json.dumps(
        array.astype(int).tolist(), separators=(",", ":")
    )
    left, top, right, bottom = bounds
    pasted = np.zeros_like(array)
    pasted[top : bottom + 1, left : right + 1] = rows
    np.testing.assert_array_equal(pasted, array)


def test_contour_goes_round_the_largest_part_only() -> None:
    array = np.zeros((20, 30), np.bool_)
    array[3:13, 4:20] = True
    array[6:8, 8:12] = False
    array[16:18, 2:5] = True
    points = cvat.contour(Mask.of(array))
    expected = np.zeros_like(array)
    expected[3:13, 4:20] = True
    np.testing.assert_array_equal(fill([points], array.shape).full, expected)


def test_contour_is_simplified_on_request() -> None:
    rows, columns = np.mgrid[:200, :200]
    disc = Mask.of((rows - 100) ** 2 + (columns - 100) ** 2 < 80**2)
    assert len(cvat.contour(disc, tolerance=1.0)) < len(cvat.contour(disc)) / 10


def test_contour_of_nothing_is_empty() -> None:
    assert cvat.contour(Mask.empty((3, 3))) == []


@pytest.mark.parametrize("box", [(0, 0, 4000, 3000), (1999, 1499, 2000, 1500)])
def test_twelve_megapixels(box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    mask = Mask((3000, 4000), box, np.ones((bottom - top, right - left), np.bool_))
    text = cvat.full_mask_json(mask)
    assert len(text) == 3000 * (2 * 4000 + 2) + 1
    assert text.count("1") == mask.area
    assert cvat.runs(mask) == [0, mask.area, left, top, right - 1, bottom - 1]
