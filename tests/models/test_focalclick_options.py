"""Options: defaults, the original's values, and what is refused."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from models.focalclick_options import FAITHFUL, FocalClickOptions


def test_every_option_is_in_the_text() -> None:
    text = FocalClickOptions().text
    assert all(f"{field.name}=" in text for field in fields(FocalClickOptions))
    assert FAITHFUL.text != text
    assert replace(FAITHFUL).text == FAITHFUL.text


def test_original_differs_by_its_ways_alone() -> None:
    served = FocalClickOptions()
    ways = {
        field.name
        for field in fields(served)
        if getattr(served, field.name) != getattr(FAITHFUL, field.name)
    }
    assert ways == {
        "begin_zoomed",
        "fast_arithmetic",
        "full_size_state",
        "keep_stale_roi",
        "merge_unchanged",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("infer_size", 100),
        ("infer_size", 0),
        ("infer_size", 1024),
        ("expansion_ratio", 0.5),
        ("focus_ratio", 0.9),
        ("min_crop_size", 0),
        ("skip_clicks", -1),
        ("whole_answers", -1),
        ("box_margin", -0.1),
        ("threshold", 1.5),
        ("zoom_threshold", -0.5),
        ("focus_threshold", 2),
    ],
)
def test_values_without_sense_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"the FocalClick option {name} is"):
        FocalClickOptions(**{name: value})
