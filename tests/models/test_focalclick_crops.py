"""Target crop, focus crop and progressive merge on drawn masks."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from models.focalclick_crops import (
    Mask,
    changed_span,
    connected,
    filled_span,
    focus_region,
    progressive_merge,
    target_region,
)
from models.zoom import Roi, common

SIZE = (60, 80)
ALL = Roi(0, 59, 0, 79)


def drawn(*regions: Roi) -> Mask:
    mask = np.zeros(SIZE, np.bool_)
    for top, bottom, left, right in regions:
        mask[top : bottom + 1, left : right + 1] = True
    return mask


OBJECT = Roi(10, 39, 20, 54)
PART = Roi(10, 39, 55, 79)


def test_target_holds_the_object_and_its_positive_clicks() -> None:
    assert target_region(Roi(10, 19, 20, 29), [], SIZE, 1.4, 10) == Roi(8, 22, 18, 32)
    assert target_region(Roi(10, 19, 20, 29), [(29, 25)], SIZE, 1.4, 10) == Roi(6, 34, 18, 32)
    assert target_region(Roi(30, 30, 2, 2), [], SIZE, 1.4, 10) == Roi(25, 35, 0, 7)


def test_first_mask_is_looked_at_whole() -> None:
    assert focus_region(drawn(OBJECT), drawn(), (20, 30), ALL, 1.4) == Roi(3, 44, 12, 60)


def test_change_under_the_click_is_looked_at() -> None:
    now, before = drawn(OBJECT, PART), drawn(OBJECT)
    assert changed_span(now, before, (20, 65)) == (10, 39, 55, 79)
    assert focus_region(now, before, (20, 65), ALL, 1.4) == Roi(3, 44, 49, 79)


def test_removed_part_is_looked_at() -> None:
    assert changed_span(drawn(OBJECT), drawn(OBJECT, PART), (20, 65)) == (10, 39, 55, 79)


def test_minor_change_gives_way_to_the_click() -> None:
    now, before = drawn(OBJECT, Roi(20, 23, 58, 61)), drawn(OBJECT)
    reach = 0.2 * 41
    span = changed_span(now, before, (21, 61))
    assert span == pytest.approx((21 - reach, 21 + reach, 61 - reach, 61 + reach))


def test_click_that_changed_nothing_is_about_all_that_stayed() -> None:
    now, before = drawn(OBJECT, PART), drawn(OBJECT)
    assert changed_span(now, before, (20, 30)) == (0, 59, 0, 79)


def test_hardly_any_pixels_say_nothing() -> None:
    assert filled_span(drawn(Roi(3, 5, 3, 5))) == (0, 60, 0, 80)
    assert filled_span(drawn(Roi(3, 5, 3, 6))) == (3, 5, 3, 6)


def test_change_outside_the_target_is_none() -> None:
    now, before = drawn(OBJECT), drawn(OBJECT, Roi(45, 59, 60, 79))
    assert focus_region(now, before, (55, 75), Roi(5, 35, 5, 45), 1.4) is None


def test_corners_connect() -> None:
    mask = drawn(Roi(0, 1, 0, 1), Roi(2, 3, 2, 3), Roi(10, 11, 10, 11))
    assert np.array_equal(connected(mask, (0, 0)), drawn(Roi(0, 1, 0, 1), Roi(2, 3, 2, 3)))
    assert np.array_equal(connected(mask, (30, 30)), ~mask)


def test_merge_takes_the_change_under_the_click_alone() -> None:
    old = drawn(OBJECT)
    new = drawn(Roi(10, 39, 30, 79), Roi(50, 55, 5, 10))
    assert np.array_equal(progressive_merge(new, old, (20, 65)), drawn(OBJECT, PART))
    assert np.array_equal(progressive_merge(new, old, (20, 22)), drawn(Roi(10, 39, 30, 54)))


def test_merge_where_nothing_changed_keeps_the_mask() -> None:
    old, new = drawn(OBJECT), drawn(OBJECT, PART)
    assert np.array_equal(progressive_merge(new, old, (20, 30)), old)


def test_merge_can_take_all_that_stayed() -> None:
    old, new = drawn(OBJECT), drawn(Roi(10, 39, 30, 54))
    removed = progressive_merge(new, old, (20, 40), unchanged=True)
    assert np.array_equal(removed, drawn(Roi(10, 39, 20, 29)))
    added = progressive_merge(new, old, (0, 0), unchanged=True)
    assert added.all()


regions = st.tuples(
    st.integers(0, 59), st.integers(0, 59), st.integers(0, 79), st.integers(0, 79)
).map(lambda edges: Roi(*sorted(edges[:2]), *sorted(edges[2:])))
masks = st.lists(regions, max_size=3).map(lambda parts: drawn(*parts))
pixels = st.tuples(st.integers(0, 59), st.integers(0, 79))


@given(masks, masks, pixels, regions, st.floats(1, 3))
def test_focus_lies_in_the_target(
    now: Mask, before: Mask, click: tuple[int, int], target: Roi, ratio: float
) -> None:
    found = focus_region(now, before, click, target, ratio)
    assert found is None or (min(found.size) > 0 and common(found, target) == found)


@given(masks, masks, pixels)
def test_merge_changes_only_where_the_masks_differ(
    new: Mask, old: Mask, click: tuple[int, int]
) -> None:
    merged = progressive_merge(new, old, click)
    assert not (merged ^ old)[new == old].any()
    assert merged[click] == new[click]
