"""Which of several masks fits what the annotator saw and did."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from models.mobilesam_options import FAITHFUL, MobileSamOptions
from models.sam_choice import (
    Evidence,
    centredness,
    choose,
    corrected,
    depth,
    fill,
    lost,
    overlap,
    stability,
)

OPTIONS = MobileSamOptions()


def block(top: int, left: int, bottom: int, right: int) -> npt.NDArray[np.bool_]:
    mask = np.zeros((40, 60), bool)
    mask[top:bottom, left:right] = True
    return mask


EMPTY = block(0, 0, 0, 0)


def test_depth_counts_the_edge_of_the_picture_as_a_border() -> None:
    assert depth(block(0, 0, 9, 60))[4, 30] == pytest.approx(5, rel=0.1)
    assert depth(np.ones((9, 9), bool))[0, 4] == pytest.approx(1, rel=0.1)


def test_a_first_click_in_the_middle_fits_best() -> None:
    mask = block(10, 10, 30, 50)
    assert centredness(mask, None, (20, 30, True)) == pytest.approx(1, abs=0.11)
    assert centredness(mask, None, (11, 30, True)) < 0.3
    assert centredness(mask, None, (5, 5, True)) == 0


def test_a_later_click_fits_in_the_middle_of_the_largest_error() -> None:
    seen, wanted = block(10, 10, 30, 30), block(10, 10, 30, 50)
    assert centredness(wanted, seen, (20, 40, True)) > 0.9
    assert centredness(wanted, seen, (20, 40, False)) == 0
    assert centredness(seen, wanted, (20, 40, False)) > 0.9
    # The click is in the middle of a small error while a larger one was left alone.
    other = wanted | block(0, 52, 4, 56)
    assert centredness(other, seen, (2, 54, True)) < 0.3


def test_overlap_and_fill() -> None:
    assert overlap(block(0, 0, 10, 10), block(0, 5, 10, 15)) == pytest.approx(1 / 3)
    assert overlap(EMPTY, EMPTY) == 1
    assert fill(block(10, 10, 20, 20), (10.0, 10.0, 20.0, 20.0)) == pytest.approx(1)
    assert fill(block(10, 10, 20, 20), (10.0, 10.0, 30.0, 20.0)) == pytest.approx(0.5)
    assert fill(EMPTY, (0.0, 0.0, 9.0, 9.0)) == 0


def test_stability_is_lost_where_logits_are_near_the_threshold() -> None:
    sure = np.where(block(10, 10, 30, 50), np.float32(5), np.float32(-5))
    assert stability(sure) == 1
    assert stability(np.where(block(10, 10, 20, 50), np.float32(0.5), sure)) == pytest.approx(0.5)


def test_of_two_corrections_the_surer_one_wins() -> None:
    seen = block(10, 10, 30, 40)
    sure = np.where(block(10, 10, 30, 50), np.float32(5), np.float32(-5))
    unsure = np.where(block(20, 10, 30, 50), sure, sure / 10)
    evidence = Evidence(seen, (20, 45, True), clicks=2)
    scores = np.array([0.8, 0.8, 0.82, 0.8], np.float32)
    assert choose(np.stack([unsure, sure, unsure, unsure]), scores, evidence, OPTIONS) == 1


def chosen(
    masks: list[npt.NDArray[np.bool_]],
    scores: list[float],
    evidence: Evidence,
    options: MobileSamOptions = OPTIONS,
) -> int:
    logits = np.where(np.stack(masks), np.float32(5), np.float32(-5))
    return choose(logits, np.array(scores, np.float32), evidence, options)


def test_equal_scores_go_to_the_whole_object() -> None:
    masks = [EMPTY, block(15, 25, 25, 35), block(5, 10, 35, 50), EMPTY]
    evidence = Evidence(click=(20, 30, True), clicks=1)
    assert chosen(masks, [0.0, 0.9, 0.9, 0.0], evidence) == 2


def test_a_correction_leaves_the_rest_alone() -> None:
    seen = block(10, 10, 30, 40)
    corrected, other = block(10, 10, 30, 50), block(12, 41, 28, 49)
    evidence = Evidence(seen, (20, 45, True), clicks=2)
    assert chosen([other, corrected, other, other], [0.9, 0.85, 0.9, 0.9], evidence) == 1


def test_a_box_goes_to_the_mask_that_fills_it() -> None:
    masks = [EMPTY, block(10, 10, 20, 20), block(10, 10, 30, 50), EMPTY]
    evidence = Evidence(box=(10.0, 10.0, 50.0, 30.0))
    assert chosen(masks, [0.0, 0.95, 0.9, 0.0], evidence) == 2


def test_a_mask_without_a_click_is_kept() -> None:
    given = block(10, 10, 30, 50)
    masks = [block(0, 0, 40, 60), block(10, 10, 20, 20), given, EMPTY]
    assert chosen(masks, [1.0, 1.0, 0.5, 1.0], Evidence(given)) == 2


def test_mask_0_is_favoured_from_the_third_click_on() -> None:
    masks = [block(10, 10, 30, 50)] * 4
    for clicks, best in ((2, 3), (3, 0)):
        evidence = Evidence(masks[0], (20, 30, True), clicks=clicks)
        assert chosen(masks, [0.9, 0.8, 0.8, 0.92], evidence) == best


def test_without_weights_only_the_allowed_scores_count() -> None:
    masks = [EMPTY, block(15, 25, 25, 35), block(5, 10, 35, 50), EMPTY]
    first = Evidence(click=(20, 30, True), clicks=1)
    later = replace(first, previous=masks[2], clicks=2)
    assert chosen(masks, [0.99, 0.5, 0.4, 0.6], first, FAITHFUL) == 3
    assert chosen(masks, [0.1, 0.5, 0.4, 0.6], later, FAITHFUL) == 0


def logits_of(mask: npt.NDArray[np.bool_], sure: float) -> npt.NDArray[np.float32]:
    return np.where(mask, np.float32(sure), np.float32(-sure))


def test_an_unsure_mask_that_drops_what_was_seen_has_lost_the_object() -> None:
    seen, rest = block(5, 5, 35, 55), block(5, 5, 35, 15)
    at_the_border = Evidence(seen, (33, 53, False), None, 3)
    assert lost(logits_of(rest, 0.5), at_the_border)
    assert not lost(logits_of(rest, 5), at_the_border), "the network is sure"
    assert not lost(logits_of(seen, 0.5), at_the_border), "nothing is dropped"
    asked_for = replace(at_the_border, click=(20, 35, False))
    assert not lost(logits_of(rest, 0.5), asked_for), "the click is in the middle of what goes"
    assert not lost(logits_of(rest, 0.5), replace(at_the_border, previous=None))
    assert not lost(logits_of(rest, 0.5), replace(at_the_border, click=None))


@pytest.mark.parametrize(("row", "column", "positive"), [(12, 50, False), (3, 30, True)])
def test_a_lost_object_is_corrected_around_the_click_alone(
    row: int, column: int, positive: bool
) -> None:
    seen = block(5, 5, 35, 55)
    logits = logits_of(seen, 9)
    mask = corrected(logits, Evidence(seen, (row, column, positive), None, 3)) > 0
    assert mask[row, column] == positive
    changed = np.argwhere(mask != seen)
    nearest = np.hypot(*(np.argwhere(seen == positive) - (row, column)).T).min()
    assert np.hypot(*(changed - (row, column)).T).max() <= nearest + 1
