"""What is drawn for the network: lines, dots, signs, and whose they are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.prompts import Click, Prompt, Scribble
from models.s2m_options import FAITHFUL, S2mOptions
from models.s2m_strokes import NOTHING, draw, strokes_between, strokes_in, strokes_of

SIZE = (60, 80)
OPTIONS = S2mOptions()


def disc(row: int, column: int, radius: int = 3) -> np.ndarray:
    return cv2.circle(np.zeros(SIZE, np.uint8), (column, row), radius, 1, -1)


def drawn(prompt: Prompt, shown: tuple[int, int] = SIZE) -> np.ndarray:
    return strokes_of(prompt, None, SIZE, shown, OPTIONS)


def test_a_click_is_a_disc_on_the_map_of_its_sign() -> None:
    strokes = drawn(Prompt((Click(20.9, 30.2), Click(50.0, 10.0, positive=False))))
    assert np.array_equal(strokes, [disc(30, 20), disc(10, 50)])
    assert 25 <= strokes[0].sum() <= 37


def test_a_stroke_is_a_thin_line_that_begins_with_a_disc() -> None:
    strokes = drawn(Prompt(scribbles=(Scribble(((20.0, 30.0), (60.0, 30.0))),)))
    assert not strokes[1].any()
    assert strokes[0][:, 40].nonzero()[0].tolist() == [28, 29, 30, 31, 32]
    assert strokes[0][:, 20].nonzero()[0].tolist() == list(range(27, 34))


def test_without_the_disc_a_single_point_leaves_nothing() -> None:
    plane = np.zeros(SIZE, np.uint8)
    draw(plane, [(20.0, 30.0)], 1, SIZE, FAITHFUL)
    assert not plane.any()
    draw(plane, [(20.0, 30.0), (60.0, 30.0)], 1, SIZE, FAITHFUL)
    assert plane[:, 20].nonzero()[0].tolist() == [28, 29, 30, 31, 32]


def test_strokes_are_as_wide_on_a_smaller_picture() -> None:
    stroke = Scribble(((20.0, 30.0), (60.0, 30.0)), positive=False, radius=20.0)
    strokes = drawn(Prompt(scribbles=(stroke,)), shown=(30, 40))
    assert strokes.shape == (2, 30, 40)
    assert strokes[1][:, 20].nonzero()[0].tolist() == [13, 14, 15, 16, 17]


def test_a_box_is_a_positive_disc_at_its_centre() -> None:
    box = (10.0, 20.0, 50.0, 40.0)
    strokes = strokes_of(Prompt(box=box), box, SIZE, SIZE, OPTIONS)
    assert np.array_equal(strokes, [disc(30, 30), np.zeros(SIZE)])


@pytest.mark.parametrize("x", [-1.0, 80.0, 1e12])
def test_clicks_beyond_the_picture_draw_nothing(x: float) -> None:
    assert not drawn(Prompt((Click(x, 30.0),))).any()


def test_a_stroke_may_leave_the_picture() -> None:
    strokes = drawn(Prompt(scribbles=(Scribble(((40.0, 30.0), (1e12, 30.0))),)))
    assert strokes[0][30, 40:].all()
    assert not drawn(Prompt(scribbles=(Scribble(()),))).any()


def test_strokes_of_others_are_negative_except_on_ones_own() -> None:
    first = np.stack([disc(20, 20), disc(50, 50)])
    second = np.stack([disc(20, 24), np.zeros(SIZE, np.uint8)])
    one, two = strokes_between([first, second])
    assert np.array_equal(one[0], disc(20, 20))
    assert np.array_equal(one[1], disc(50, 50) | (disc(20, 24) & ~disc(20, 20) & 1))
    assert np.array_equal(two[0], disc(20, 24))
    assert np.array_equal(two[1], disc(20, 20) & ~disc(20, 24) & 1)
    assert np.array_equal(strokes_between([first])[0], first)


def test_on_one_map_all_that_is_not_its_own_is_negative() -> None:
    plane = np.full(SIZE, NOTHING, np.uint8)
    draw(plane, [(10.0, 10.0), (70.0, 10.0)], 2, SIZE, FAITHFUL)
    draw(plane, [(40.0, 5.0), (40.0, 40.0)], 1, SIZE, FAITHFUL)
    draw(plane, [(10.0, 50.0), (70.0, 50.0)], 0, SIZE, FAITHFUL)
    positive, negative = strokes_in(plane, 2)
    assert positive.dtype == np.uint8
    assert positive[10, 20] and not positive[10, 40]
    assert np.array_equal(positive + negative, plane != NOTHING)
    assert negative[50, 20] and negative[30, 40]
