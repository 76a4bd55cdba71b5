"""Regions of interest: pure arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.zoom import (
    NOWHERE,
    Roi,
    around,
    box_roi,
    clamped,
    common,
    expanded,
    into_crop,
    iou,
    leaves,
    limited_size,
    mask_roi,
    scaled_size,
    whole,
)


def test_mask_fills_its_region_and_an_empty_one_has_none() -> None:
    mask = np.zeros((10, 20), np.bool_)
    assert mask_roi(mask) is None
    mask[3:6, 7] = True
    assert mask_roi(mask) == Roi(3, 5, 7, 7)
    assert mask_roi(mask, (100, 200)) == Roi(103, 105, 207, 207)
    assert mask_roi(np.zeros((0, 0), np.bool_)) is None


def test_region_grows_about_its_centre_and_rounds_halves_to_even() -> None:
    assert expanded(Roi(32, 38, 59, 104), 1.4, 30) == Roi(20, 50, 49, 114)
    assert expanded(Roi(0, 0, 0, 0), 1, 1) == Roi(0, 0, 0, 0)
    assert expanded(Roi(4, 5, 10, 13), 1, 1) == Roi(4, 6, 10, 14)


def test_clamped_region_stays_in_the_picture() -> None:
    assert clamped(Roi(-10, 107, 62, 92), (96, 120)) == Roi(0, 95, 62, 92)


def test_regions_that_do_not_meet_have_nothing_in_common() -> None:
    assert common(Roi(0, 3, 0, 3), Roi(5, 9, 0, 3)) == NOWHERE
    assert NOWHERE.size == (0, 0)
    assert iou(Roi(0, 3, 0, 3), Roi(5, 9, 0, 3)) == 0


def test_iou_is_that_of_rows_times_that_of_columns() -> None:
    assert iou(Roi(0, 9, 0, 9), Roi(0, 9, 0, 9)) == 1
    assert iou(Roi(0, 9, 0, 9), Roi(0, 4, 0, 4)) == pytest.approx(0.25)
    assert iou(Roi(0, 9, 0, 9), Roi(5, 14, 0, 9)) == pytest.approx(1 / 3)


def test_last_row_and_column_count_as_outside() -> None:
    roi = Roi(10, 20, 30, 40)
    assert not leaves(roi, [(10, 30), (19, 39)])
    assert leaves(roi, [(20, 35)])
    assert leaves(roi, [(15, 40)])
    assert leaves(roi, [(9, 35)])


def test_around_holds_region_and_pixels() -> None:
    assert around(Roi(5, 6, 5, 6), [(1, 9), (7, 5)]) == Roi(1, 7, 5, 9)


def test_box_touches_the_pixels_it_covers_in_part() -> None:
    assert box_roi((2, 3, 5, 7)) == Roi(3, 6, 2, 4)
    assert box_roi((2.5, 3.1, 5.2, 7)) == Roi(3, 6, 2, 5)


def test_sizes() -> None:
    assert scaled_size((199, 201), 400) == (396, 400)
    assert scaled_size((50, 80), (32, 48)) == (32, 48)
    assert scaled_size((1, 5000), 400) == (1, 400)
    assert limited_size((600, 900), 800) == (533, 800)
    assert limited_size((600, 700), 800) == (600, 700)
    assert limited_size((600, 700), None) == (600, 700)


def test_positions_scale_with_the_region_and_not_with_its_corners() -> None:
    assert into_crop(91, 211, Roi(0, 198, 112, 312), (396, 400)) == pytest.approx(
        (181.0854, 197.0149), abs=1e-4
    )
    assert into_crop(0, 112, Roi(0, 198, 112, 312), (396, 400)) == (0, 0)


edges = st.tuples(st.integers(0, 60), st.integers(0, 60))


@given(edges, edges, st.floats(1, 3), st.integers(1, 50))
def test_grown_and_clamped_region_holds_the_object(
    rows: tuple[int, int], columns: tuple[int, int], ratio: float, least: int
) -> None:
    roi = Roi(min(rows), max(rows), min(columns), max(columns))
    grown = clamped(expanded(roi, ratio, least), (61, 61))
    assert common(roi, grown) == roi
    assert common(grown, whole((61, 61))) == grown
