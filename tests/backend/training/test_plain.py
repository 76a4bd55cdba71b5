from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from backend.training.plain import plain


@dataclass(frozen=True)
class Scale:
    factor: float = 2.0
    sides: tuple[int, int] = (3, 4)


@dataclass(frozen=True)
class Shrink:
    factor: float = 2.0
    sides: tuple[int, int] = (3, 4)


def test_settings_become_what_json_gives_back() -> None:
    value = {"steps": (Scale(), Shrink(1.0)), 1: None, "on": True}
    found = plain(value)
    assert json.loads(json.dumps(found)) == found
    assert found == {
        "steps": [
            {"kind": "Scale", "factor": 2.0, "sides": [3, 4]},
            {"kind": "Shrink", "factor": 1.0, "sides": [3, 4]},
        ],
        "1": None,
        "on": True,
    }


def test_two_kinds_with_equal_fields_stay_apart() -> None:
    assert plain(Scale()) != plain(Shrink())


@pytest.mark.parametrize("value", [object(), {1, 2}, Scale, len])
def test_other_things_are_refused(value: object) -> None:
    with pytest.raises(TypeError, match="no plain value"):
        plain({"inside": [value]})
