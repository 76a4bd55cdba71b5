"""Options: what is allowed, and that none of them hides."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from models.s2m_options import FAITHFUL, FAITHFUL_SINGLE, S2mOptions

OTHER: dict[str, Any] = {
    "picture_side": None,
    "stroke_thickness": 5,
    "dot_radius": 4,
    "dot_at_start": False,
    "soft_previous": True,
    "feedback": True,
    "hard_aggregation": False,
    "threshold": 0.4,
    "box_margin": 0.2,
    "bgr": True,
    "fast_arithmetic": False,
}


def test_every_option_changes_the_text() -> None:
    assert set(OTHER) == {field.name for field in fields(S2mOptions)}
    changed = [replace(S2mOptions(), **{name: value}).text for name, value in OTHER.items()]
    assert len({S2mOptions().text, *changed}) == len(OTHER) + 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("picture_side", 31),
        ("stroke_thickness", 0),
        ("stroke_thickness", 256),
        ("dot_radius", -1),
        ("threshold", 1.5),
        ("box_margin", -0.1),
    ],
)
def test_what_cannot_be_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"S2M option {name} is {value}; it must be"):
        S2mOptions(**{name: value})


def test_the_originals_see_the_picture_as_it_is() -> None:
    for options in (FAITHFUL, FAITHFUL_SINGLE):
        assert options.picture_side is None
        assert not options.fast_arithmetic
        assert not options.feedback
    assert FAITHFUL_SINGLE.bgr and FAITHFUL_SINGLE.soft_previous and FAITHFUL_SINGLE.dot_at_start
    assert not (FAITHFUL.bgr or FAITHFUL.soft_previous or FAITHFUL.dot_at_start)
