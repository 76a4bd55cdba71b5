"""Squares around boxes, and outlines that follow a box."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import tracking_boxes
from models.prompts import Box
from models.tracking_boxes import (
    box_at,
    centred,
    clipped,
    mask_box,
    moved_mask,
    moved_polygon,
    polygon_box,
    window,
    window_side,
)

COLOUR = (101.9, 20.2, 7.0)
sides = st.floats(1, 500)
places = st.floats(-300, 300)
boxes = st.tuples(places, places, sides, sides).map(
    lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
)


@pytest.fixture(scope="module")
def image() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (60, 80, 3), np.uint8)


@given(boxes)
def test_centre_and_size_are_the_box(box: Box) -> None:
    assert box_at(*centred(box)) == pytest.approx(box, abs=1e-9)


def test_the_part_of_a_box_inside_a_frame() -> None:
    assert clipped((-5.0, 3.0, 200.0, 70.5), (60, 80)) == (0.0, 3.0, 80, 60)
    left, top, right, bottom = clipped((90.0, -9.0, 95.0, -3.0), (60, 80))
    assert left == right == 80
    assert top == bottom == 0


@given(sides, sides)
def test_the_square_shows_the_object_and_its_surroundings(width: float, height: float) -> None:
    side = window_side((width, height), 2)
    area = (width + (width + height) / 2) * (height + (width + height) / 2)
    assert (side - 1) ** 2 <= area * (1 + 1e-9)
    assert area <= side**2 * (1 + 1e-9)
    assert window_side((width, height), 4) > side


@pytest.mark.parametrize(("context", "side"), [(1, 12), (2, 24), (4, 48)])
def test_the_square_around_a_square(context: float, side: int) -> None:
    assert window_side((12.0, 12.0), context) == side
    assert window_side((12.01, 12.0), context) == side + 1


def test_a_window_inside_the_picture_is_its_pixels(image: npt.NDArray[np.uint8]) -> None:
    assert np.array_equal(window(image, (30.0, 20.0), 10, 10, COLOUR), image[15:25, 25:35])
    # An odd side has the pixel of the centre in its middle; half a pixel is rounded up.
    assert np.array_equal(window(image, (30.0, 20.0), 9, 9, COLOUR), image[15:24, 25:34])
    assert np.array_equal(window(image, (30.5, 20.4), 9, 9, COLOUR), image[15:24, 26:35])


def test_a_window_beyond_the_picture_has_the_colour_cut_to_whole_numbers(
    image: npt.NDArray[np.uint8],
) -> None:
    found = window(image, (2.0, 58.0), 20, 20, COLOUR)
    assert np.array_equal(found[:12, 8:], image[48:60, 0:12])
    assert (found[12:] == (101, 20, 7)).all()
    assert (found[:, :8] == (101, 20, 7)).all()
    outside = window(image, (-500.0, 900.0), 20, 20, COLOUR)
    assert (outside == (101, 20, 7)).all()


@pytest.mark.parametrize(("side", "centre"), [(37, (40.2, 30.9)), (131, (3.0, 57.0)), (64, (0, 0))])
def test_windows_too_large_to_be_cut_out_whole_look_the_same(
    image: npt.NDArray[np.uint8],
    side: int,
    centre: tuple[float, float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = window(image, centre, side, 32, COLOUR).astype(int)
    monkeypatch.setattr(tracking_boxes, "LONGEST_WINDOW", 0)
    assert np.abs(window(image, centre, side, 32, COLOUR) - usual).max() <= 1


def test_an_enormous_window_is_no_burden(image: npt.NDArray[np.uint8]) -> None:
    found = window(image, (40.0, 30.0), 4_000_000, 256, COLOUR)
    assert found.shape == (256, 256, 3)


def test_boxes_around_outlines() -> None:
    assert polygon_box([(3.5, 9.0), (1.0, 4.0), (2.0, 8.0)]) == (1.0, 4.0, 3.5, 9.0)
    mask = np.zeros((20, 30), np.bool_)
    mask[4:9, 7] = True
    assert mask_box(mask) == (7.0, 4.0, 8.0, 9.0)
    with pytest.raises(ValueError, match="mark at least one pixel"):
        mask_box(np.zeros((3, 3), np.bool_))
    with pytest.raises(ValueError, match="give at least three"):
        polygon_box([])


@given(boxes, boxes, st.lists(st.tuples(places, places), min_size=1, max_size=6))
def test_a_polygon_moves_and_comes_back_with_its_box(
    before: Box, after: Box, points: list[tuple[float, float]]
) -> None:
    corners = [(before[0], before[1]), (before[2], before[3])]
    ends = moved_polygon(corners, before, after)
    assert [*ends[0], *ends[1]] == pytest.approx(after, abs=1e-6)
    back = moved_polygon(moved_polygon(points, before, after), after, before)
    assert np.allclose(back, points, atol=1e-3)


def test_a_mask_moves_with_its_box() -> None:
    mask = np.zeros((60, 80), np.bool_)
    cv2.circle(canvas := np.zeros((60, 80), np.uint8), (30, 25), 9, 1, -1)
    mask |= canvas.astype(bool)
    before = mask_box(mask)
    shifted = moved_mask(mask, before, tuple(np.add(before, (7, 3, 7, 3))))
    assert np.array_equal(shifted, np.roll(mask, (3, 7), (0, 1)))
    left, top, right, bottom = before
    doubled = (left, top, left + 2 * (right - left), top + 2 * (bottom - top))
    larger = moved_mask(mask, before, doubled)
    assert larger.sum() == 4 * mask.sum()
    assert mask_box(larger) == doubled
    gone = moved_mask(mask, before, (200.0, 200.0, 219.0, 219.0))
    assert not gone.any()
    half = moved_mask(mask, before, tuple(np.subtract(before, (30, 0, 30, 0))))
    assert np.array_equal(half[:, :50], mask[:, 30:])
    assert not half[:, 50:].any()


def test_nothing_follows_a_box_without_area() -> None:
    flat, box = (1.0, 2.0, 1.0, 5.0), (0.0, 0.0, 4.0, 4.0)
    with pytest.raises(ValueError, match="nothing can follow"):
        moved_polygon([(1, 2)], flat, box)
    for pair in ((flat, box), (box, flat)):
        with pytest.raises(ValueError, match="nothing can follow"):
            moved_mask(np.ones((5, 5), np.bool_), *pair)
