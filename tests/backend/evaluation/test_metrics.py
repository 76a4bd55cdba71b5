from __future__ import annotations

import numpy as np
import pytest

from backend.evaluation import metrics


def test_iou_counts_pixels() -> None:
    labels = np.array([[1, 1, 1, 0], [0, 0, 0, 0]], np.int8)
    mask = np.array([[False, True, True, True], [True, False, False, False]])
    assert metrics.iou(labels, mask) == 2 / 5


def test_iou_leaves_out_what_is_to_be_ignored() -> None:
    labels = np.array([[1, 1, -1, 0]], np.int8)
    assert metrics.iou(labels, np.array([[True, False, True, False]])) == 1 / 2
    assert metrics.iou(labels, np.array([[True, True, False, False]])) == 1


def test_iou_of_nothing_with_nothing_is_one() -> None:
    assert metrics.iou(np.array([[0, -1]], np.int8), np.array([[False, True]])) == 1.0


@pytest.mark.parametrize(
    ("ious", "expected"),
    [
        ([0.95], 1),
        ([0.2, 0.9, 0.1], 2),
        ([0.2, 0.89], 5),
        ([0.1, 0.1, 0.1, 0.1, 0.9], 5),
        ([0.1, 0.1, 0.1, 0.1, 0.1, 0.99], 5),
        ([], 5),
    ],
)
def test_clicks_to_reach(ious: list[float], expected: int) -> None:
    assert metrics.clicks_to_reach(ious, 0.9, most=5) == expected


def test_a_box_may_need_no_click() -> None:
    assert metrics.clicks_to_reach([0.95, 0.96], 0.9, most=5, first=0) == 0
    assert metrics.clicks_to_reach([0.5, 0.96], 0.9, most=5, first=0) == 1


def test_noc_and_nof_of_four_objects() -> None:
    noc = [1, 3, 20, 20]
    assert metrics.mean_clicks(noc) == 11
    assert metrics.over_limit(noc, 20) == 2


def test_late_success_counts_for_nof_but_was_reached() -> None:
    late, never = [0.1] * 19 + [0.9], [0.1] * 20
    noc = [metrics.clicks_to_reach(ious, 0.9, 20) for ious in (late, never)]
    assert metrics.over_limit(noc, 20) == 2
    assert metrics.unreached([late, never], 0.9) == 1


def test_mean_iou_per_click_carries_the_last_value() -> None:
    objects = [[0.5, 0.75, 1.0], [1.0], [0.0, 0.5]]
    assert metrics.mean_iou_per_click(objects, 4) == pytest.approx([0.5, 0.75, 2.5 / 3, 2.5 / 3])
