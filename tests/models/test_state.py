"""States survive the way through bytes, and whatever else comes along is a miss."""

from __future__ import annotations

import numpy as np
import pytest

from models import state as states
from models.state import State

STATE = State(
    "net@weights:0123456789ab",
    "picture",
    {"map": np.arange(12, dtype=np.float16).reshape(3, 4).T, "logits": np.ones(2, np.float32)},
    {"roi": [1, 2, 30, 40]},
)


def test_a_state_comes_back_bit_for_bit() -> None:
    back = State.from_bytes(STATE.to_bytes())
    assert back is not None
    assert (back.version, back.picture, back.values) == (
        STATE.version,
        STATE.picture,
        STATE.values,
    )
    assert back.arrays.keys() == STATE.arrays.keys()
    for name, array in STATE.arrays.items():
        assert back.arrays[name].dtype == array.dtype
        assert np.array_equal(back.arrays[name], array)


def test_a_state_belongs_to_one_version_and_picture() -> None:
    assert STATE.belongs_to("net@weights:0123456789ab", "picture")
    assert not STATE.belongs_to("net@weights:ffffffffffff", "picture")
    assert not STATE.belongs_to("net@weights:0123456789ab", "another")


@pytest.mark.parametrize("data", [b"", b"state", b"\xff" * 64, STATE.to_bytes()[:-1]])
def test_damaged_bytes_are_a_miss(data: bytes) -> None:
    assert State.from_bytes(data) is None


def test_another_schema_is_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    data = STATE.to_bytes()
    monkeypatch.setattr(states, "SCHEMA", states.SCHEMA + 1)
    assert State.from_bytes(data) is None


def test_a_state_too_large_to_keep_is_refused() -> None:
    large = State("v", "p", {"map": np.zeros(states.MAX_STATE_BYTES, np.uint8)})
    with pytest.raises(ValueError, match="exceeds the limit"):
        large.to_bytes()
