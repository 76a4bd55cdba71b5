"""Options: what is allowed, and that none of them hides."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from models.brs_options import CLICKS_LIMIT
from models.fbrs_options import FbrsOptions
from models.ritm_options import FAITHFUL, RitmOptions

OTHER: dict[str, Any] = {
    "zoom_in": False,
    "zoom_target": (400, 400),
    "skip_clicks": -1,
    "expansion_ratio": 1.5,
    "min_crop_size": 100,
    "recompute_iou": 0.7,
    "zoom_threshold": 0.6,
    "first_click_side": None,
    "max_size": 800,
    "flip": False,
    "threshold": 0.49,
    "box_margin": 0.2,
    "net_clicks_limit": 8,
    "fast_arithmetic": False,
    "cpu_maps": True,
    "cpu_maps_overrun": True,
    "full_size_state": True,
    "keep_stale_roi": True,
    "one_shot": True,
    "mask_every_click": True,
    "brs_mode": "f-BRS-B",
    "brs_after_clicks": 2,
    "brs_max_evaluations": 10,
    "brs_iou_change": 0.001,
    "brs_deadline_ms": 500,
    "brs_wrapping_squares": True,
    "brs_keep_features": True,
}


def test_every_option_changes_the_text() -> None:
    assert set(OTHER) == {field.name for field in fields(RitmOptions)}
    changed = [replace(RitmOptions(), **{name: value}).text for name, value in OTHER.items()]
    assert len({RitmOptions().text, *changed}) == len(OTHER) + 1


def test_equal_options_have_equal_texts() -> None:
    as_list: Any = [300, 400]
    assert RitmOptions(zoom_target=as_list).text == RitmOptions(zoom_target=(300, 400)).text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("zoom_target", 8),
        ("zoom_target", (400, 8)),
        ("zoom_target", (400, 400, 400)),
        ("first_click_side", 0),
        ("max_size", 16),
        ("expansion_ratio", 0.5),
        ("min_crop_size", 0),
        ("box_margin", -0.1),
        ("net_clicks_limit", 0),
        ("threshold", 1.5),
        ("zoom_threshold", -1),
        ("recompute_iou", 2),
        ("brs_mode", "BRS"),
        ("brs_after_clicks", -1),
        ("brs_max_evaluations", 0),
        ("brs_iou_change", 1.5),
        ("brs_deadline_ms", -1),
    ],
)
def test_values_that_make_no_sense_are_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"the RITM option {name} is"):
        replace(RitmOptions(), **{name: value})


def test_fbrs_has_the_same_options_with_defaults_of_its_own() -> None:
    assert {field.name for field in fields(FbrsOptions)} == set(OTHER)
    assert FbrsOptions().brs_mode == "f-BRS-B"
    assert FbrsOptions().net_clicks_limit == CLICKS_LIMIT["f-BRS-B"] == 8
    with pytest.raises(ValueError, match="the f-BRS option brs_mode is"):
        FbrsOptions(brs_mode="B")  # type: ignore[arg-type]


def test_faithful_options_are_the_published_evaluation() -> None:
    assert (FAITHFUL.zoom_target, FAITHFUL.threshold, FAITHFUL.flip) == (400, 0.49, True)
    assert FAITHFUL.first_click_side is None
    assert FAITHFUL.full_size_state
