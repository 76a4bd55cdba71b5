"""SimpleClick's options: what serves, what the paper did, and what is refused."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from models.simpleclick_options import FAITHFUL, SimpleClickOptions


def test_defaults_serve_and_faithful_is_the_paper() -> None:
    served = SimpleClickOptions()
    assert (served.input_side, served.flip, served.threshold) == ((448, 448), False, 0.5)
    assert (FAITHFUL.flip, FAITHFUL.threshold, FAITHFUL.full_size_state) == (True, 0.49, True)
    same = {"input_side", "expansion_ratio", "min_crop_size", "recompute_iou", "zoom_threshold"}
    assert all(getattr(served, name) == getattr(FAITHFUL, name) for name in same)


def test_the_text_differs_with_every_option() -> None:
    changes: dict[str, Any] = {
        "input_side": 672,
        "expansion_ratio": 2.0,
        "min_crop_size": 100,
        "recompute_iou": 0.7,
        "zoom_threshold": 0.4,
        "flip": True,
        "threshold": 0.4,
        "box_margin": 0.2,
        "net_clicks_limit": 8,
        "fast_arithmetic": False,
        "precision": "bfloat16",
        "full_size_state": True,
        "mask_every_click": True,
    }
    assert changes.keys() == {field.name for field in fields(SimpleClickOptions)}
    texts = {replace(SimpleClickOptions(), **{name: value}).text for name, value in changes.items()}
    assert len(texts) == len(changes)
    assert SimpleClickOptions().text not in texts
    assert SimpleClickOptions(input_side=448).text == SimpleClickOptions(input_side=(448, 448)).text


def test_the_predictor_zooms_in_on_the_whole_picture_at_once() -> None:
    view = SimpleClickOptions(input_side=(672, 448), min_crop_size=50).view()
    assert (view.zoom_in, view.skip_clicks, view.zoom_target) == (True, -1, (672, 448))
    assert (view.min_crop_size, view.first_click_side, view.max_size) == (50, None, None)


@pytest.mark.parametrize(
    "option, value",
    [
        ("input_side", 400),
        ("input_side", 0),
        ("input_side", -224),
        ("input_side", (448, 100)),
        ("input_side", (448,)),
        ("expansion_ratio", 0.5),
        ("min_crop_size", 0),
        ("threshold", 1.5),
        ("net_clicks_limit", 0),
        ("box_margin", -1),
        ("precision", "int4"),
    ],
)
def test_impossible_values_are_refused(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"the SimpleClick option {option} is"):
        SimpleClickOptions(**{option: value})
