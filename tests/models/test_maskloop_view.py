"""Where our own network looks."""

from __future__ import annotations

import numpy as np
import pytest

from models.maskloop_options import MaskloopOptions
from models.maskloop_view import Memory, crop_around, look, look_again, pointed_at
from models.prompts import Click, Prompt, Scribble
from models.zoom import Roi, whole

SIZE = (400, 600)
OPTIONS = MaskloopOptions(side=64, min_crop_size=20)


def memory(bounds: Roi | None, region: Roi | None = None) -> Memory:
    return Memory(np.zeros((64, 64), np.uint8), region or whole(SIZE), bounds)


def test_the_first_look_is_at_the_whole_picture() -> None:
    assert look(None, None, [(10, 10)], SIZE, OPTIONS) == whole(SIZE)


def test_a_box_is_looked_at_with_a_margin() -> None:
    roi = look(None, (100, 100, 200, 200), [], SIZE, OPTIONS)
    assert roi == crop_around(Roi(100, 199, 100, 199), SIZE, OPTIONS)
    assert roi.size[0] == pytest.approx(140, abs=2)


def test_a_box_outside_the_picture_says_nothing() -> None:
    assert look(None, (-9, -9, -2, -2), [(5, 5)], SIZE, OPTIONS) == whole(SIZE)


def test_the_next_look_holds_the_mask_and_all_positive_clicks() -> None:
    roi = look(memory(Roi(100, 150, 100, 150)), None, [(300, 400)], SIZE, OPTIONS)
    assert roi.top <= 100
    assert roi.left <= 100
    assert roi.bottom >= 300
    assert roi.right >= 400


def test_a_thin_object_does_not_make_a_thin_crop() -> None:
    height, width = crop_around(Roi(200, 202, 50, 549), SIZE, OPTIONS).size
    assert width == 600
    assert height == pytest.approx(300, abs=2)


def test_a_crop_is_never_tiny() -> None:
    assert min(crop_around(Roi(200, 200, 200, 200), SIZE, OPTIONS).size) >= 20


def test_what_was_not_found_is_searched_around_the_click() -> None:
    roi = look(memory(None), None, [(200, 300)], SIZE, OPTIONS)
    assert roi.size[0] == pytest.approx(150, abs=2)
    assert look(memory(None), None, [], SIZE, OPTIONS) == whole(SIZE)


def test_a_small_object_is_looked_at_twice() -> None:
    small, large = Roi(10, 60, 10, 60), Roi(5, 390, 5, 590)
    assert look_again(memory(small), [(30, 30)], SIZE, OPTIONS) == crop_around(small, SIZE, OPTIONS)
    assert look_again(memory(large), [(30, 30)], SIZE, OPTIONS) is None
    assert look_again(memory(small, Roi(0, 99, 0, 99)), [(30, 30)], SIZE, OPTIONS) is None
    once = MaskloopOptions(side=64, second_look=False)
    assert look_again(memory(small), [(30, 30)], SIZE, once) is None


def test_strokes_point_as_clicks_do() -> None:
    strokes = (Scribble(((5.5, 6.5), (700.0, 6.0))), Scribble(((50.0, 50.0),), positive=False))
    prompt = Prompt((Click(1, 2), Click(3, 4, False)), scribbles=strokes)
    assert pointed_at(prompt, SIZE) == [(2, 1), (6, 5)]


def test_a_memory_seen_from_another_crop_lies_where_it_was() -> None:
    mask = np.zeros(SIZE, np.bool_)
    mask[100:200, 150:250] = True
    remembered = Memory.of_mask(mask, OPTIONS)
    assert remembered is not None
    seen = remembered.seen(whole(SIZE), 200)
    wanted = np.zeros((200, 200))
    wanted[50:100, 50:83] = 1
    assert np.abs(seen - wanted).mean() < 0.01
    assert np.array_equal(seen > 0.5, remembered.seen(whole(SIZE), 200) > 0.5)


def test_nothing_is_remembered_of_an_empty_mask() -> None:
    assert Memory.of_mask(np.zeros(SIZE, np.bool_), OPTIONS) is None


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"side": 50}, "side"),
        ({"expansion_ratio": 0.5}, "expansion_ratio"),
        ({"stretch": 0.5}, "stretch"),
        ({"search": 0.0}, "search"),
        ({"min_crop_size": 0}, "min_crop_size"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, float], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        MaskloopOptions(**options)  # type: ignore[arg-type]
