"""The words of a prompt."""

from __future__ import annotations

import numpy as np
import pytest

from models.prompts import Click, Prompt, Scribble

NEGATIVE = Click(1, 1, positive=False)
STROKE = Scribble(((0.0, 0.0), (9.0, 9.0)))


@pytest.mark.parametrize(
    ("x", "y", "pixel"), [(5, 7, (7, 5)), (5.999, 7.0, (7, 5)), (-0.5, 0.5, (0, -1))]
)
def test_a_position_lies_in_the_pixel_that_floor_gives(
    x: float, y: float, pixel: tuple[int, int]
) -> None:
    assert Click(x, y).pixel == pixel


@pytest.mark.parametrize(
    ("prompt", "points"),
    [
        (Prompt(), False),
        (Prompt(clicks=(NEGATIVE,)), False),
        (Prompt(scribbles=(Scribble(((1.0, 1.0),), positive=False),)), False),
        (Prompt(clicks=(NEGATIVE, Click(2, 2))), True),
        (Prompt(clicks=(NEGATIVE,), box=(0, 0, 5, 5)), True),
        (Prompt(scribbles=(STROKE,)), True),
        (Prompt(mask=np.ones((2, 2), bool)), True),
    ],
)
def test_what_says_where_the_object_is(prompt: Prompt, points: bool) -> None:
    assert prompt.points_at_something is points


def test_the_base_is_everything_but_the_clicks() -> None:
    clicks = (Click(1, 2), Click(3, 4))
    prompt = Prompt(clicks, box=(0, 0, 5, 5), scribbles=(STROKE,))
    assert prompt.has_base
    assert prompt.base == Prompt(box=(0, 0, 5, 5), scribbles=(STROKE,))
    assert not Prompt(clicks).has_base
    assert prompt.first(1) == Prompt(clicks[:1], (0, 0, 5, 5), (STROKE,))
