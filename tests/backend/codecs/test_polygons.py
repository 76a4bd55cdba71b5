"""Polygons that give their masks back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from matplotlib.path import Path
from pycocotools import mask as pycocotools_mask

from backend.codecs.polygons import fill, parts, rings, single_ring, single_rings
from backend.errors import InvalidRequest
from backend.masks import Mask

pictures = arrays(
    np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=16), elements=st.booleans()
)


def signed_area(ring: np.ndarray) -> float:
    x, y = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def blob(seed: int, size: tuple[int, int] = (300, 400)) -> np.ndarray:
    """A smooth shape with holes and parts: a sum of waves above a level."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    waves = sum(
        np.cos(rows * a + columns * b + c) for a, b, c in random.uniform(-0.08, 0.08, (6, 3))
    )
    return waves > 0.7


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


@given(pictures)
def test_unsimplified_polygons_are_exact(array: np.ndarray) -> None:
    mask = Mask.of(array)
    np.testing.assert_array_equal(fill(rings(mask, 0), array.shape).full, array)
    np.testing.assert_array_equal(fill(single_rings(mask, 0), array.shape).full, array)


@given(pictures)
def test_parts_are_sorted_and_their_areas_add_up(array: np.ndarray) -> None:
    mask = Mask.of(array)
    areas = [part.area for part in parts(mask, 0)]
    assert areas == sorted(areas, reverse=True)
    assert sum(areas) == mask.area
    for part in parts(mask, 0):
        alone = fill([part.outer, *part.holes], array.shape).full
        assert np.count_nonzero(alone & array) == np.count_nonzero(alone) == part.area


@given(pictures)
def test_holes_run_against_their_outer_ring(array: np.ndarray) -> None:
    for part in parts(Mask.of(array), 0):
        for hole in part.holes:
            assert signed_area(hole) * signed_area(part.outer) < 0


def test_coordinates_are_pixel_edges() -> None:
    array = np.zeros((20, 20), np.bool_)
    array[5:15, 10:18] = True
    ring = single_ring(Mask.of(array), 0)
    assert ring.min(axis=0).tolist() == [10.0, 5.0]
    assert ring.max(axis=0).tolist() == [18.0, 15.0]


def test_a_pixel_keeps_its_place() -> None:
    array = np.zeros((4, 5), np.bool_)
    array[2, 3] = True
    ring = single_ring(Mask.of(array))
    assert len(ring) == 4
    assert ring.mean(axis=0).tolist() == [3.5, 2.5]


@pytest.mark.parametrize("seed", range(5))
def test_the_default_tolerance_keeps_the_mask(seed: int) -> None:
    array = blob(seed)
    mask = Mask.of(array)
    exact, simple = rings(mask, 0), rings(mask)
    assert sum(map(len, simple)) < sum(map(len, exact)) / 5
    assert iou(fill(simple, array.shape).full, array) > 0.98
    assert iou(fill(single_rings(mask), array.shape).full, array) > 0.98


@pytest.mark.parametrize("seed", range(5))
def test_pycocotools_fills_single_rings_alike(seed: int) -> None:
    array = blob(seed)
    union = np.zeros_like(array)
    for ring in single_rings(Mask.of(array)):
        rle = pycocotools_mask.frPyObjects([ring.ravel().tolist()], *array.shape)
        union |= pycocotools_mask.decode(rle)[..., 0].astype(np.bool_)
    assert iou(union, array) > 0.98


def test_holes_are_kept_or_dropped_as_asked() -> None:
    array = np.zeros((40, 40), np.bool_)
    array[5:35, 5:35] = True
    filled = array.copy()
    array[10:20, 12:30] = array[25:30, 8:12] = False
    mask = Mask.of(array)
    assert len(parts(mask)[0].holes) == 2
    kept, dropped = single_ring(mask), single_ring(mask, keep_holes=False)
    np.testing.assert_array_equal(fill([kept], array.shape).full, array)
    np.testing.assert_array_equal(fill([dropped], array.shape).full, filled)
    # The rule of non-zero winding, which browsers use, leaves the holes empty as well.
    assert abs(signed_area(single_ring(mask, 0))) == pytest.approx(mask.area, abs=2)


def test_small_and_further_parts_can_be_left_out() -> None:
    array = np.zeros((30, 30), np.bool_)
    array[2:12, 2:12] = array[20:25, 20:25] = array[1, 28] = True
    mask = Mask.of(array)
    assert [part.area for part in parts(mask)] == [100, 25, 1]
    assert [part.area for part in parts(mask, smallest=25)] == [100, 25]
    assert [part.area for part in parts(mask, most=1)] == [100]
    assert len(single_rings(mask, smallest=2)) == 2


def test_nothing_has_no_rings() -> None:
    mask = Mask.empty((5, 6))
    assert rings(mask) == []
    assert single_rings(mask) == []
    assert single_ring(mask).shape == (0, 2)
    assert not fill([], (5, 6))


def polygon_strategy() -> st.SearchStrategy[list[list[tuple[float, float]]]]:
    number = st.floats(-20, 40, allow_nan=False).map(lambda value: round(value, 3))
    return st.lists(st.lists(st.tuples(number, number), min_size=3, max_size=8), max_size=1)


@settings(deadline=None)
@given(polygon_strategy())
def test_fill_is_the_even_odd_rule_at_pixel_centres(
    polygon: list[list[tuple[float, float]]],
) -> None:
    size = (15, 20)
    filled = fill(polygon, size).full
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    expected = np.zeros(size, np.bool_)
    doubtful = np.zeros(size, np.bool_)
    for ring in polygon:
        for (x0, y0), (x1, y1) in zip(ring, [*ring[1:], ring[0]], strict=True):
            length = max(np.hypot(x1 - x0, y1 - y0), 1e-9)
            crossing = (y0 > rows) != (y1 > rows)
            at = x0 + (rows - y0) * (x1 - x0) / (y1 - y0 if y1 != y0 else 1.0)
            expected ^= crossing & (columns < at)
            doubtful |= np.abs((columns - x0) * (y1 - y0) - (rows - y0) * (x1 - x0)) < 1e-6 * length
    np.testing.assert_array_equal(filled[~doubtful], expected[~doubtful])


def test_fill_agrees_with_matplotlib_on_a_star() -> None:
    turn = np.arange(5) * 4 * np.pi / 5
    star = np.stack([50 + 40 * np.sin(turn), 45 - 40 * np.cos(turn)], axis=1)
    filled = fill([star], (90, 100)).full
    rows, columns = np.mgrid[:90, :100] + 0.5
    centres = np.stack([columns.ravel(), rows.ravel()], axis=1)
    inside = Path(star).contains_points(centres).reshape(90, 100)
    assert not (filled & ~inside).any()
    assert not filled[45, 50]


@pytest.mark.parametrize(
    "polygon",
    [
        [[[0, 0], [1, 1]]],
        [[]],
        [[[0, 0, 0], [1, 1, 1], [2, 2, 2]]],
        [[[0, 0], [1, 1], [2]]],
        [[["a", 0], [1, 1], [2, 2]]],
        [[[0, float("nan")], [1, 1], [2, 2]]],
        [[[0, float("inf")], [1, 1], [2, 2]]],
        [None],
    ],
)
def test_malformed_polygons_are_refused(polygon: list[object]) -> None:
    with pytest.raises(InvalidRequest, match=r"^value.points ") as raised:
        fill(polygon, (10, 10), field="value.points")
    assert raised.value.field == "value.points"


def test_far_coordinates_are_cut_off() -> None:
    ring = [[-1e12, -1e12], [1e12, -1e12], [1e12, 1e12], [-1e12, 1e12]]
    assert fill([ring], (7, 9)).area == 63
