"""Boxes and scribbles as clicks."""

from __future__ import annotations

import pytest

from models.placement import CLICKS_PER_SCRIBBLE, as_clicks, box_click, scribble_clicks
from models.prompts import Click, Prompt, Scribble


def test_short_stroke_is_one_click_in_its_middle() -> None:
    stroke = Scribble(((10.0, 20.0), (20.0, 20.0)))
    assert scribble_clicks([stroke]) == (Click(15.0, 20.0, True),)


def test_a_dot_is_one_click_on_it() -> None:
    assert scribble_clicks([Scribble(((7.0, 8.0),), positive=False)]) == (Click(7.0, 8.0, False),)
    twice = Scribble(((7.0, 8.0), (7.0, 8.0)))
    assert scribble_clicks([twice]) == (Click(7.0, 8.0, True),)


def test_clicks_lie_on_a_bent_stroke_in_drawing_order() -> None:
    stroke = Scribble(((0.0, 0.0), (60.0, 0.0), (60.0, 60.0)))
    clicks = scribble_clicks([stroke])
    assert len(clicks) == 4
    assert [(click.x, click.y) for click in clicks] == [(15, 0), (45, 0), (60, 15), (60, 45)]


def test_long_strokes_give_a_bounded_number_of_clicks() -> None:
    stroke = Scribble(tuple((float(i), 0.0) for i in range(4000)))
    assert len(scribble_clicks([stroke])) == CLICKS_PER_SCRIBBLE


def test_a_wide_brush_gives_fewer_clicks() -> None:
    points = ((0.0, 0.0), (128.0, 0.0))
    assert len(scribble_clicks([Scribble(points, radius=3)])) == 4
    assert len(scribble_clicks([Scribble(points, radius=32)])) == 1


def test_strokes_keep_their_order_and_sign_and_an_empty_one_is_nothing() -> None:
    strokes = [
        Scribble(((0.0, 0.0),), positive=False),
        Scribble(()),
        Scribble(((5.0, 5.0),), positive=True),
    ]
    assert [click.positive for click in scribble_clicks(strokes)] == [False, True]


def test_box_is_clicked_at_its_centre() -> None:
    assert box_click((10, 20, 20, 50)) == Click(15.0, 35.0, True)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_clicks_of_a_longer_prompt_begin_with_those_of_the_shorter(count: int) -> None:
    prompt = Prompt(
        clicks=(Click(1, 2), Click(3, 4, False)),
        box=(0, 0, 10, 10),
        scribbles=(Scribble(((0.0, 0.0), (90.0, 0.0))),),
    )
    shorter = as_clicks(prompt.first(count))
    assert as_clicks(prompt)[: len(shorter)] == shorter
    assert len(as_clicks(prompt)) == 1 + 3 + 2
