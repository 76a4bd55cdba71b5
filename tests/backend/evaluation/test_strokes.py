"""Skeletons, the longest way through them, and curves."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from backend.evaluation.strokes import Robot, bezier, disc, longest_paths, thinned


def plane(*rectangles: tuple[int, int, int, int]) -> npt.NDArray[np.bool_]:
    """Half-open (top, bottom, left, right) in 60 x 80."""
    mask = np.zeros((60, 80), np.bool_)
    for top, bottom, left, right in rectangles:
        mask[top:bottom, left:right] = True
    return mask


def parts(mask: npt.NDArray[np.bool_]) -> int:
    return int(cv2.connectedComponents(mask.view(np.uint8), connectivity=8)[0]) - 1


def test_a_bar_becomes_its_middle_line() -> None:
    line = thinned(plane((10, 17, 10, 60)))
    rows, columns = line.nonzero()
    assert set(rows) <= {12, 13, 14}
    assert len(columns) == len(set(columns)) >= 40


def test_thinning_keeps_parts_and_holes() -> None:
    mask = plane((5, 30, 5, 30), (40, 50, 10, 70))
    mask[15:20, 15:20] = False
    line = thinned(mask)
    assert parts(line) == parts(mask) == 2
    assert parts(~line) == parts(~mask)
    assert not (line & ~mask).any()
    assert np.array_equal(thinned(line), line)


@pytest.mark.parametrize("mask", [plane(), plane((0, 60, 0, 80)), plane((3, 4, 5, 6))])
def test_odd_regions_are_thinned_too(mask: npt.NDArray[np.bool_]) -> None:
    assert thinned(mask).any() == mask.any()


def test_the_longest_way_leaves_out_side_branches() -> None:
    (path,) = longest_paths(plane((20, 21, 5, 70), (15, 20, 30, 31)))
    assert path.shape == (65, 2)
    assert sorted(path[:, 0].tolist()) == list(range(5, 70))
    assert set(path[:, 1]) == {20.0}


def test_every_part_has_a_way() -> None:
    paths = longest_paths(plane((20, 21, 5, 70), (40, 41, 3, 4), (50, 55, 9, 10)))
    assert sorted(len(path) for path in paths) == [1, 5, 65]
    assert longest_paths(plane()) == []


def test_a_loop_has_a_way_of_half_its_length() -> None:
    ring = plane((10, 31, 10, 31)) & ~plane((11, 30, 11, 30))
    (path,) = longest_paths(ring)
    assert 38 <= len(path) <= 43


def test_a_curve_begins_and_ends_with_its_corners() -> None:
    corners = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0]])
    curve = bezier(corners, 101)
    assert curve.shape == (101, 2)
    assert np.array_equal(curve[[0, -1]], corners[[0, -1]])
    assert np.allclose(curve[50], [7.5, 2.5])


def test_many_corners_do_no_harm() -> None:
    corners = np.stack([np.arange(900.0), np.full(900, 7.0)], axis=1)
    curve = bezier(corners)
    assert np.allclose(curve[:, 1], 7)
    assert np.allclose(curve[:, 0], np.linspace(0, 899, 1000), atol=1e-6)
    assert np.array_equal(bezier(corners[:1], 4), np.repeat(corners[:1], 4, axis=0))


def test_the_robot_draws_through_large_parts_alone() -> None:
    region = plane((10, 30, 5, 70), (40, 50, 10, 20), (55, 56, 70, 72))
    strokes = Robot(kernel=0.15).strokes(region)
    assert 1 <= len(strokes) <= 2
    for stroke in strokes:
        assert stroke.shape == (1000, 2)
        columns, rows = stroke.round().astype(int).T
        assert region[rows, columns].all()
    assert np.ptp(strokes[0][:, 0]) > 30
    assert Robot(least_nodes=1000).strokes(region) == []


def test_what_an_opening_would_leave_nothing_of_is_opened_less() -> None:
    thin = plane((20, 23, 5, 75), (30, 33, 5, 75), (40, 43, 5, 75))
    assert len(Robot(kernel=1.0).strokes(thin)) == 3
    assert Robot().strokes(plane()) == []


def test_a_disc_has_all_pixels_within_its_radius() -> None:
    assert disc(1).tolist() == [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    assert disc(1.5).tolist() == [[1] * 3] * 3
