"""From an HTTP request to a `SegmentRequest`: JSON, or a form with the picture as a file."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any

import flask
import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from backend.codecs import coco, png
from backend.errors import InvalidRequest
from backend.frontends.rest.faults import invalid, shown
from backend.frontends.rest.schema import RleInput, SegmentInput
from backend.http_errors import request_id
from backend.pictures import PictureLimits, inspect
from backend.service.messages import Origin, SegmentRequest
from models.prompts import Box, Click, Prompt, Scribble

Remember = Callable[[str], bytes | None]
"""The picture with an `image_id`, if it is still remembered."""

PLAIN = frozenset({"image", "image_id", "model", "format", "user", "task", "object_id"})
"""Form fields that are text as they stand; all others are JSON."""


def read(
    request: flask.Request, limits: PictureLimits, remember: Remember
) -> tuple[SegmentRequest, SegmentInput]:
    """What the client asks for. Raises InvalidRequest with the field at fault, BodyTooLarge."""
    files: dict[str, bytes] = {}
    if request.mimetype == "application/json":
        values = _json_object(request.get_data(cache=False))
    elif request.mimetype == "multipart/form-data":
        files = {name: file.read() for name, file in request.files.items()}
        values = _form(request, files)
    else:
        raise InvalidRequest(
            f"the Content-Type is {request.mimetype or 'missing'}; send multipart/form-data with "
            "the picture as the file `image`, or application/json with `image` in base64"
        )
    for name in files:
        if name not in ("image", "mask"):
            raise InvalidRequest(f"{name} is not a file of this request; send `image` and `mask`")
    try:
        parsed = SegmentInput.model_validate(values)
    except ValidationError as error:
        raise invalid(error, SegmentInput) from None
    image = _picture(parsed, files.get("image"), remember)
    mask = _mask(parsed, files.get("mask"), image, limits)
    return _request(parsed, image, mask), parsed


def _json_object(data: bytes | str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"the request is not JSON: {error}") from None


def _form(request: flask.Request, files: dict[str, bytes]) -> Any:
    """The fields of a form: those of the JSON part `request`, if any, under the single ones."""
    texts = request.form.to_dict()
    packed = files.pop("request", None) or texts.pop("request", None)
    values = _json_object(packed) if packed else {}
    if not isinstance(values, dict):
        raise InvalidRequest(f"request should be a JSON object and is {shown(values)}")
    for name, text in texts.items():
        values[name] = text if name in PLAIN else _form_value(name, text)
    return values


def _form_value(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if name == "mask":  # a PNG in base64 is no JSON, and needs none
            return text
        raise InvalidRequest(
            f"{name} is {shown(text)}, which is not JSON; write it as in JSON, "
            "such as clicks=[[320, 240]]",
            field=name,
        ) from None


def _picture(parsed: SegmentInput, file: bytes | None, remember: Remember) -> bytes:
    given = sum(source is not None for source in (file, parsed.image, parsed.image_id))
    if given != 1:
        raise InvalidRequest(
            "image is given more than once; send it as a file, in base64 or by its image_id"
            if given
            else "image is missing; send the picture, or the image_id of an earlier answer",
            field="image",
        )
    if file is not None:
        return file
    if parsed.image is not None:
        return _base64(parsed.image, "image")
    image = remember(str(parsed.image_id))
    if image is None:
        raise InvalidRequest(
            f"image_id {parsed.image_id} is not remembered here any more; send the picture again",
            field="image_id",
        )
    return image


def _base64(text: str, field: str) -> bytes:
    """The bytes of base64 text, with or without the head of a data: address."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(
            f"{field} is not base64 ({error}); encode the file's bytes, without line breaks",
            field=field,
        ) from None


def _mask(
    parsed: SegmentInput, file: bytes | None, image: bytes, limits: PictureLimits
) -> npt.NDArray[np.bool_] | None:
    """The initial mask, bool HxW of the picture."""
    if file is None and parsed.mask is None:
        return None
    picture = inspect(image, limits)
    size = (picture.height, picture.width)
    if file is None and isinstance(parsed.mask, RleInput):
        return coco.decode(parsed.mask.model_dump(), size).full
    if file is None:
        file = _base64(str(parsed.mask), "mask")
    return png.decode(file, size, limits).full


def _request(
    parsed: SegmentInput, image: bytes, mask: npt.NDArray[np.bool_] | None
) -> SegmentRequest:
    prompt = Prompt(
        clicks=tuple(Click(click.x, click.y, click.positive) for click in parsed.clicks),
        box=_box(parsed.box),
        scribbles=tuple(
            Scribble(tuple((x, y) for x, y in stroke.points), stroke.positive, stroke.radius)
            for stroke in parsed.scribbles
        ),
        mask=mask,
    )
    origin = Origin("rest", task=parsed.task, user=parsed.user, object_id=parsed.object_id)
    return SegmentRequest(
        image=image,
        prompt=prompt,
        origin=origin,
        model=parsed.model,
        deadline_seconds=parsed.deadline_seconds,
        request_id=request_id(),
    )


def _box(edges: list[float] | None) -> Box | None:
    if edges is None:
        return None
    left, top, right, bottom = edges
    return left, top, right, bottom
