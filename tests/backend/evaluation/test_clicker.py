from __future__ import annotations

import numpy as np
import pytest

from backend.evaluation.clicker import CentreClicker, RandomClicker
from models.prompts import Click


def square(size: tuple[int, int], top: int, left: int, side: int) -> np.ndarray:
    labels = np.zeros(size, np.int8)
    labels[top : top + side, left : left + side] = 1
    return labels


def nothing(labels: np.ndarray) -> np.ndarray:
    return np.zeros(labels.shape, np.bool_)


def test_first_click_is_the_centre_of_the_object() -> None:
    labels = square((20, 30), 4, 10, 7)
    assert CentreClicker(labels).next_click(nothing(labels)) == Click(13, 7, True)


def test_surplus_larger_than_what_is_missing_gets_a_negative_click() -> None:
    labels = square((20, 30), 1, 1, 3)
    mask = square((20, 30), 8, 10, 9) > 0
    assert CentreClicker(labels).next_click(mask) == Click(14, 12, False)


def test_tie_goes_to_the_negative_click() -> None:
    labels = square((20, 30), 1, 1, 5)
    mask = square((20, 30), 12, 20, 5) > 0
    assert CentreClicker(labels).next_click(mask) == Click(22, 14, False)


def test_picture_edge_bounds_the_error() -> None:
    labels = square((9, 9), 0, 0, 9)
    assert CentreClicker(labels).next_click(nothing(labels)) == Click(4, 4, True)


def test_pixels_to_ignore_are_not_clicked() -> None:
    labels = square((20, 30), 4, 10, 7)
    labels[4:11, 10:14] = -1
    assert CentreClicker(labels).next_click(nothing(labels)) == Click(15, 5, True)
    surplus = labels == -1
    assert CentreClicker(labels).next_click(surplus | (labels == 1)) == Click(0, 0, False)


def test_pixel_is_clicked_once() -> None:
    labels = square((20, 30), 4, 10, 3)
    clicker = CentreClicker(labels)
    clicks = [clicker.next_click(nothing(labels)) for _ in range(9)]
    assert len({click.pixel for click in clicks}) == 9
    assert all(labels[click.pixel] == 1 for click in clicks)


def test_distances_of_both_kinds_agree_on_a_plain_shape() -> None:
    labels = square((40, 40), 5, 5, 21)
    clicks = {
        CentreClicker(labels, kind).next_click(nothing(labels)) for kind in ("opencv", "scipy")
    }
    assert clicks == {Click(15, 15, True)}


@pytest.fixture
def two_parts() -> np.ndarray:
    return square((40, 60), 2, 2, 5) | square((40, 60), 15, 30, 15)


def test_random_click_falls_into_the_part_the_centre_click_would_hit(two_parts: np.ndarray) -> None:
    clicks = [RandomClicker(two_parts, str(s)).next_click(nothing(two_parts)) for s in range(40)]
    assert all(15 <= c.y < 30 and 30 <= c.x < 45 and c.positive for c in clicks)
    assert len(set(clicks)) > 20


def test_random_clicks_prefer_the_inside(two_parts: np.ndarray) -> None:
    clicks = [RandomClicker(two_parts, str(s)).next_click(nothing(two_parts)) for s in range(200)]
    inner = sum(18 <= c.y < 27 and 33 <= c.x < 42 for c in clicks)
    assert inner > 200 * (9 * 9) / (15 * 15) * 1.3


def test_random_clicks_repeat_with_their_seed(two_parts: np.ndarray) -> None:
    def three(seed: str) -> list[Click | None]:
        clicker = RandomClicker(two_parts, seed)
        return [clicker.next_click(nothing(two_parts)) for _ in range(3)]

    assert three("a") == three("a") != three("b")


def test_random_clicker_stops_when_content(two_parts: np.ndarray) -> None:
    assert RandomClicker(two_parts, "a").next_click(two_parts > 0) is None
