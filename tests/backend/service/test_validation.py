"""What a request must be, and what becomes of one that makes no sense."""

from __future__ import annotations

import numpy as np
import pytest

from backend.errors import (
    InvalidImage,
    InvalidRequest,
    MaskloopError,
    UnknownModelName,
)
from backend.service import Origin, SegmentRequest
from models.prompts import Click, Prompt, Scribble
from tests.backend.conftest import Serve, encoded, scene
from tests.backend.service.scenario import CLICKS, expected


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(),
        Prompt((Click(5, 5, False),)),
        Prompt((Click(-1, 5), Click(5, 48.5), Click(1e300, -1e300))),
        Prompt(box=(-20, -20, -3, -4)),
        Prompt(box=(12, 12, 12, 30)),
        Prompt(mask=np.zeros((48, 64), bool)),
        Prompt(scribbles=(Scribble(((200.0, 10.0), (300.0, 10.0))),)),
    ],
    ids=["nothing", "negative only", "outside", "box outside", "flat box", "no mask", "stroke"],
)
def test_what_makes_no_sense_gets_an_empty_mask(
    serve: Serve, picture: bytes, prompt: Prompt
) -> None:
    served = serve()
    answer = served.service.segment(SegmentRequest(picture, prompt, Origin("test")))
    assert not answer.mask
    assert answer.mask.size == (48, 64)
    assert served.segmenter.batches == []


def test_positions_outside_do_not_matter(serve: Serve, picture: bytes) -> None:
    served = serve()
    answer = served.segment(picture, CLICKS[0], Click(64.0, 48.0), Click(70, 10), Click(-3, -3))
    edge = expected(scene(), Prompt((CLICKS[0], Click(63.5, 47.5))))
    assert np.array_equal(answer.mask.full, edge)


def test_a_box_may_start_at_any_corner(serve: Serve, picture: bytes) -> None:
    served = serve()
    there = served.segment(picture, box=(10, 8, 40, 30))
    back = served.segment(picture, box=(40, 30, 10, 8))
    assert there.mask.to_bytes() == back.mask.to_bytes()
    assert back.object_id == there.object_id


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"clicks": (Click(float("nan"), 3),)}, "clicks[0].x"),
        ({"clicks": (Click(3, 3), Click(3, float("inf")))}, "clicks[1].y"),
        ({"clicks": (Click("left", 3),)}, "clicks[0].x"),  # type: ignore[arg-type]
        ({"clicks": (Click(3, 3),) * 201}, "clicks"),
        ({"box": (0, 0, float("nan"), 9)}, "box.right"),
        ({"mask": np.zeros((5, 5), bool)}, "mask"),
        ({"mask": np.zeros((48, 64), np.uint8)}, "mask"),
        ({"scribbles": (Scribble(((1.0, 2.0),), True, float("nan")),)}, "scribbles[0].radius"),
        ({"scribbles": (Scribble(((1.0, 2.0),), True, 0.0),)}, "scribbles[0].radius"),
        ({"scribbles": (Scribble(((1.0, float("nan")),)),)}, "scribbles[0].points[0].y"),
        ({"scribbles": (Scribble(((1.0, 2.0),) * 20_001),)}, "scribbles[0]"),
    ],
)
def test_what_is_wrong_is_named(
    serve_inline: Serve, picture: bytes, values: dict[str, object], field: str
) -> None:
    service = serve_inline().service
    with pytest.raises(InvalidRequest) as raised:
        service.segment(SegmentRequest(picture, Prompt(**values), Origin("test")))  # type: ignore[arg-type]
    assert raised.value.field == field
    assert len(raised.value.message.split()) > 5


def test_bad_pictures_and_models_are_refused(serve: Serve, picture: bytes) -> None:
    served = serve(max_pixels=64 * 48)
    with pytest.raises(InvalidImage):
        served.segment(b"no picture", CLICKS[0])
    with pytest.raises(InvalidImage):
        served.segment(picture[:200], CLICKS[0])
    with pytest.raises(MaskloopError, match="more than the limit"):
        served.segment(encoded(scene(0, 49, 64)), CLICKS[0])
    with pytest.raises(UnknownModelName, match="mobilesam"):
        served.segment(picture, CLICKS[0], model="ritm-hrnet18")
    for name in ("mobilesam", "mobilesam@growing", served.segmenter.version):
        assert served.segment(picture, CLICKS[0], model=name).mask


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_deadline_is_a_number_of_seconds(
    serve_inline: Serve, picture: bytes, seconds: float
) -> None:
    with pytest.raises(InvalidRequest, match="deadline_seconds"):
        serve_inline().segment(picture, CLICKS[0], deadline_seconds=seconds)
