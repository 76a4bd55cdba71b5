"""CVAT's interactor call: what a function is sent for one click, whichever version sends it.

The payload is `{"image": base64, "pos_points": [[x, y], ...], "neg_points": [...], "obj_bbox":
[[x, y], [x, y]]}`, with float positions in the upright picture's pixels. There is no session, no
user and no order between positive and negative clicks; other keys are ignored. `obj_bbox` is null
up to CVAT 2.16.2 and an empty list afterwards where there is no box, and two corners per box where
several were drawn. A `threshold` is checked and has no further effect: where the object ends
is the model's knowledge, and CVAT's own page never sends one.
"""

from __future__ import annotations

import binascii
import json
import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from backend.errors import InvalidRequest
from backend.service.messages import Origin, SegmentRequest
from models.prompts import Box, Click, Prompt

ORIGIN = Origin(tool="cvat")
MAX_BOXES = 16
"""Boxes in one call: each is an object of its own and costs a pass of the network."""

Point = tuple[float, float]

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 60


def read(body: object) -> Mapping[str, Any]:
    """The payload of a call whose body is JSON text, as str or bytes, or parsed already.

    Raises InvalidRequest where it is no JSON object.
    """
    if isinstance(body, (str, bytes, bytearray, memoryview)):
        text = bytes(body) if isinstance(body, memoryview) else body
        try:
            body = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidRequest(
                f"the body is not JSON ({error}); send an object with image, "
                "pos_points and neg_points"
            ) from None
    if not isinstance(body, Mapping):
        raise InvalidRequest(
            f"the body is {_short(body)}; send a JSON object with image, pos_points and neg_points"
        )
    return body


def parse(payload: Mapping[str, Any], model: str | None = None) -> list[SegmentRequest]:
    """The requests in a payload: one, or one for each box where several were drawn.

    With several boxes, each is an object of its own, and a click belongs to the boxes that
    contain it, or to the nearest one. Raises InvalidRequest naming field, value and remedy.
    """
    image = _image(payload.get("image"))
    _threshold(payload.get("threshold"))
    clicks = [Click(x, y, True) for x, y in _points(payload, "pos_points")]
    clicks += [Click(x, y, False) for x, y in _points(payload, "neg_points")]
    boxes = _boxes(_points(payload, "obj_bbox"))
    return [
        SegmentRequest(image=image, prompt=prompt, origin=ORIGIN, model=model, ordered=False)
        for prompt in _prompts(clicks, boxes)
    ]


def _image(value: object) -> bytes:
    """The encoded picture. Line breaks, missing padding and a `data:` prefix are tolerated."""
    if not isinstance(value, str) or not value:
        raise InvalidRequest(
            f"image is {_short(value)}; it must be the picture file in base64", field="image"
        )
    if value.startswith("data:"):
        value = value.partition(",")[2]
    if any(space in value for space in "\n\r\t "):
        value = "".join(value.split())
    try:
        return binascii.a2b_base64(value + "=" * (-len(value) % 4), strict_mode=True)
    except ValueError as error:
        raise InvalidRequest(
            f"image is no base64 ({error}); send the picture file in standard base64",
            field="image",
        ) from None


def _points(payload: Mapping[str, Any], field: str) -> list[Point]:
    """The list of [x, y] under `field`; absent, null and empty are the same."""
    value = payload.get(field)
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise InvalidRequest(
            f"{field} is {_short(value)}; it must be a list of [x, y] pairs", field=field
        )
    return [_point(item, f"{field}[{index}]") for index, item in enumerate(value)]


def _point(value: object, field: str) -> Point:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise InvalidRequest(
            f"{field} is {_short(value)}; it must be a pair of numbers [x, y] in pixels",
            field=field,
        )
    return _number(value[0], field), _number(value[1], field)


def _number(value: object, field: str) -> float:
    """A finite float. true and false are no numbers, though Python takes them for some."""
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            number = float(value)
            if math.isfinite(number):
                return number
    except OverflowError:
        pass
    raise InvalidRequest(
        f"{field} holds {_short(value)}; coordinates must be finite numbers", field=field
    )


def _threshold(value: object) -> None:
    if value is not None:
        _number(value, "threshold")


def _boxes(corners: Sequence[Point]) -> list[Box]:
    """Two opposite corners a box, in any order; a box without area says nothing and is left out."""
    if len(corners) % 2:
        raise InvalidRequest(
            f"obj_bbox has {len(corners)} points; it takes two opposite corners for each box",
            field="obj_bbox",
        )
    boxes = []
    for (x1, y1), (x2, y2) in zip(corners[::2], corners[1::2], strict=True):
        box = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
        if box[0] < box[2] and box[1] < box[3] and box not in boxes:
            boxes.append(box)
    if len(boxes) > MAX_BOXES:
        raise InvalidRequest(
            f"obj_bbox holds {len(boxes)} boxes; draw at most {MAX_BOXES} at once",
            field="obj_bbox",
        )
    return boxes


def _prompts(clicks: Sequence[Click], boxes: Sequence[Box]) -> list[Prompt]:
    if len(boxes) < 2:
        return [Prompt(clicks=tuple(clicks), box=boxes[0] if boxes else None)]
    nearest = [min(_distance(click, box) for box in boxes) for click in clicks]
    return [
        Prompt(
            clicks=tuple(
                click
                for click, distance in zip(clicks, nearest, strict=True)
                if _distance(click, box) == distance
            ),
            box=box,
        )
        for box in boxes
    ]


def _distance(click: Click, box: Box) -> float:
    """From a click to a box in pixels; 0 inside."""
    left, top, right, bottom = box
    return math.hypot(
        max(left - click.x, 0.0, click.x - right), max(top - click.y, 0.0, click.y - bottom)
    )


def _short(value: object) -> str:
    """A value as a sentence may show it: whatever its size, a few words."""
    return "missing" if value is None else _REPR.repr(value)
