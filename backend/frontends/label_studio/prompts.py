"""From the items about one object to a prompt in pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from backend.codecs import label_studio as codec
from backend.errors import InvalidRequest
from backend.frontends.label_studio import geometry, strokes
from backend.frontends.label_studio.geometry import Size
from backend.frontends.label_studio.items import BOXES, Item, ObjectItems, box_of
from backend.masks import BoolArray, Mask
from backend.pictures import PictureLimits
from models.prompts import Box, Click, Prompt, Scribble

T = TypeVar("T")


def prompt(
    pointed: ObjectItems,
    size: Size,
    limits: PictureLimits,
    task: Mapping[str, Any] | None = None,
) -> Prompt:
    """The prompt in pixels of a picture of `size`.

    The strokes of the draft that travels with `task` are joined to it where they belong to the
    object. Raises InvalidRequest naming the field of a value that is missing or makes no sense.
    """
    clicks: list[Click] = []
    box: Box | None = None
    mask: BoolArray | None = None
    drawn: list[Scribble] = []
    for item in pointed.items:
        if item.shape == "keypoint":
            x, y = (geometry.number(item.value, axis, item.field) for axis in "xy")
            clicks.append(Click(*geometry.position(x, y, size), item.positive))
        elif item.shape in BOXES:
            box = box_of(item, size)
        elif item.shape == "brush" and "rle" not in item.value:
            drawn.extend(strokes.scribbles(item.value, size, item.field))
        else:
            part = _mask(item, size, limits).full
            mask = part if mask is None else mask | part
    if mask is not None and not mask.any():
        mask = None
    if task is not None:
        drawn.extend(strokes.of_draft(task, pointed, clicks, box, size))
    return Prompt(tuple(clicks), box, tuple(drawn), mask)


def _mask(item: Item, size: Size, limits: PictureLimits) -> Mask:
    if item.shape == "polygon":
        return geometry.polygon(item.value, size, item.field)
    if item.shape == "bitmask":
        url = _of_type(item, "imageDataURL", str, "text")
        return codec.decode_png_data_url(url, size, limits, f"{item.field}.imageDataURL")
    rle = _of_type(item, "rle", list, "a list")
    return codec.decode_rle(rle, size, f"{item.field}.rle")


def _of_type(item: Item, key: str, kind: type[T], name: str) -> T:
    found = item.value.get(key)
    if not isinstance(found, kind):
        raise InvalidRequest(f"{item.field}.{key} must be {name}", field=f"{item.field}.{key}")
    return found
