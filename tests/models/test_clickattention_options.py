"""Options: defaults, the original's values, and what is refused."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from models.clickattention_options import FAITHFUL, ClickAttentionOptions


def test_every_option_is_in_the_text() -> None:
    text = ClickAttentionOptions().text
    assert all(f"{field.name}=" in text for field in fields(ClickAttentionOptions))
    assert FAITHFUL.text != text
    assert replace(FAITHFUL).text == FAITHFUL.text


def test_original_differs_by_its_ways_alone() -> None:
    served = ClickAttentionOptions()
    ways = {
        field.name
        for field in fields(served)
        if getattr(served, field.name) != getattr(FAITHFUL, field.name)
    }
    assert ways == {
        "infer_size",
        "fast_arithmetic",
        "drop_border_clicks",
        "full_size_state",
        "merge_unchanged",
    }


@pytest.mark.parametrize(
    ("version", "device", "side"),
    [("b0", "cpu", 768), ("b3", "cpu", 512), ("b0", "cuda", 768), ("b3", "cuda", 768)],
)
def test_side_follows_network_and_device_unless_it_is_chosen(
    version: Any, device: str, side: int
) -> None:
    assert ClickAttentionOptions().resolved(version, device).infer_size == side
    chosen = ClickAttentionOptions(infer_size=384)
    assert chosen.resolved(version, device) == chosen


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mode", "both"),
        ("infer_size", 100),
        ("infer_size", 0),
        ("infer_size", 2048),
        ("first_click_passes", 0),
        ("expansion_ratio", 0.5),
        ("min_crop_size", 0),
        ("box_margin", -0.1),
        ("threshold", 1.5),
    ],
)
def test_values_without_sense_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"the ClickAttention option {name} is"):
        ClickAttentionOptions(**{name: value})
