"""States of tracks: small, JSON, and refused with a sentence where they are damaged."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.tracker import (
    LONGEST_SIDE,
    SCHEMA,
    StateRefused,
    TrackState,
    checked_box,
    checked_image,
    numbers,
    restored,
    stored,
)

PICTURE = np.random.default_rng(3).integers(0, 256, (128, 128, 3), np.uint8)


def state(**values: Any) -> TrackState:
    return TrackState("transt@n4:0123456789ab", values, {"template": PICTURE})


def test_a_state_comes_back_to_the_last_bit() -> None:
    before = state(centre=[0.1 + 0.2, 1e-17], size=[float(np.float32(0.3)), 7.0])
    text = stored(before)
    after = restored(text)
    assert (after.version, after.values) == (before.version, before.values)
    assert np.array_equal(after.pictures["template"], PICTURE)
    assert after.pictures["template"].dtype == np.uint8
    assert stored(after) == text
    assert after.digest("template") == before.digest("template")
    assert len(text) < 100_000, "pictures of noise are the largest"


def test_digests_differ_with_picture_and_version() -> None:
    changed = PICTURE.copy()
    changed[5, 7, 1] ^= 1
    found = {
        state().digest("template"),
        TrackState("other", {}, {"template": PICTURE}).digest("template"),
        TrackState(state().version, {}, {"template": changed}).digest("template"),
    }
    assert len(found) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": SCHEMA + 1}, "has the schema"),
        ({"version": None}, "none of this program"),
        ({"values": []}, "none of this program"),
        ({"pictures": {str(index): "" for index in range(9)}}, "holds 9 pictures"),
        ({"pictures": {"template": "!"}}, "damaged picture"),
        ({"pictures": {"template": base64.b64encode(b"gASVcgAAAA").decode()}}, "damaged picture"),
        ({"pictures": {"template": 5}}, "damaged picture"),
    ],
)
def test_what_is_no_state_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(StateRefused, match=said):
        TrackState.from_json({**state().to_json(), **change})


def png(width: int, height: int, data: bytes) -> str:
    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + check

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b""))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(parts)).decode()


def test_a_picture_that_would_fill_the_memory_is_not_unpacked() -> None:
    whole = png(LONGEST_SIDE, 2, b"\0" + bytes(3 * LONGEST_SIDE) + b"\0" + bytes(3 * LONGEST_SIDE))
    found = TrackState.from_json({**state().to_json(), "pictures": {"template": whole}})
    assert found.pictures["template"].shape == (2, LONGEST_SIDE, 3)
    for width, height in ((60_000, 60_000), (LONGEST_SIDE + 1, 1), (0, 4)):
        document = {**state().to_json(), "pictures": {"template": png(width, height, b"")}}
        with pytest.raises(StateRefused, match="damaged picture"):
            TrackState.from_json(document)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_any_other_json_is_refused(document: Any) -> None:
    with pytest.raises(StateRefused):
        restored(json.dumps(document))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, b"\x80\x04\x95", "NaN"])
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(StateRefused):
        restored(text)


@pytest.mark.parametrize("wrong", [None, [1], [1, None], ["1", 2], [1, float("nan")], [1, 1e9]])
def test_numbers_of_a_state(wrong: Any) -> None:
    assert numbers({"centre": [1, 2.5]}, "centre", 2) == (1.0, 2.5)
    with pytest.raises(StateRefused, match="'centre'; start again"):
        numbers({"centre": wrong}, "centre", 2)


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ((0.0, 0.0, float("nan"), 5.0), "no positions"),
        ((0.0, 0.0, 1e9, 5.0), "no positions"),
        ((5.0, 0.0, 5.0, 5.0), "no area"),
        ((0.0, 9.0, 5.0, 5.0), "no area"),
        ((-9.0, -9.0, 0.0, -1.0), "beside the frame of 30 x 20"),
        ((30.0, 0.0, 40.0, 5.0), "beside the frame of 30 x 20"),
    ],
)
def test_boxes_that_show_nothing_are_refused(
    box: tuple[float, float, float, float], said: str
) -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    assert checked_box((-5.0, -5.0, 0.5, 0.5), image)
    with pytest.raises(ValueError, match=said):
        checked_box(box, image)


def test_what_is_no_frame_is_refused() -> None:
    for wrong in (np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="a frame is uint8"):
            checked_image(wrong)
