"""Label Studio's shapes in pixels.

Label Studio gives every position and length in percent of the displayed picture, that is after
its EXIF orientation; a percent of the width is not as long as one of the height, so shapes are
taken to pixels before they are turned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from backend.codecs import polygons
from backend.errors import InvalidRequest
from backend.masks import Mask
from models.prompts import Box

Size = tuple[int, int]
"""(height, width) of the upright picture."""

FURTHEST = 10_000.0
"""Percent beyond which a number is taken for a mistake rather than a place off the picture."""

MAX_POINTS = 20_000


def finite(found: object, field: str) -> float:
    """The number that `found` is. Raises InvalidRequest naming the field where it is none."""
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise InvalidRequest(
            f"{field} is {found!r:.80}: it must be a number, in percent of the picture", field=field
        )
    if not abs(found) <= FURTHEST:
        raise InvalidRequest(
            f"{field} is {found!r:.80}: it must be a finite number, in percent of the picture",
            field=field,
        )
    return float(found)


def number(value: Mapping[str, Any], key: str, field: str) -> float:
    """The finite number under a key of a region's value. Raises InvalidRequest."""
    return finite(value.get(key), f"{field}.{key}")


def position(x: float, y: float, size: Size) -> tuple[float, float]:
    """Pixels of a position in percent."""
    height, width = size
    return x / 100 * width, y / 100 * height


def rectangle(value: Mapping[str, Any], size: Size, field: str) -> Box | None:
    """The upright box around a rectangle, turned about its top left corner by `rotation` degrees.

    Clockwise, as on the screen. None where it has no area inside the picture.
    """
    height, width = size
    left = number(value, "x", field) / 100 * width
    top = number(value, "y", field) / 100 * height
    across = number(value, "width", field) / 100 * width
    down = number(value, "height", field) / 100 * height
    turn = _rotation(value, field)
    cosine, sine = math.cos(turn), math.sin(turn)
    corners = [(0.0, 0.0), (across, 0.0), (across, down), (0.0, down)]
    turned = [(left + x * cosine - y * sine, top + x * sine + y * cosine) for x, y in corners]
    return _around(turned, size)


def ellipse(value: Mapping[str, Any], size: Size, field: str) -> Box | None:
    """The upright box around an ellipse turned about its centre; None as for `rectangle`."""
    height, width = size
    x = number(value, "x", field) / 100 * width
    y = number(value, "y", field) / 100 * height
    across = number(value, "radiusX", field) / 100 * width
    down = number(value, "radiusY", field) / 100 * height
    turn = _rotation(value, field)
    reach_x = math.hypot(across * math.cos(turn), down * math.sin(turn))
    reach_y = math.hypot(across * math.sin(turn), down * math.cos(turn))
    return _around([(x - reach_x, y - reach_y), (x + reach_x, y + reach_y)], size)


def _rotation(value: Mapping[str, Any], field: str) -> float:
    return math.radians(number(value, "rotation", field)) if value.get("rotation") else 0.0


def _around(points: list[tuple[float, float]], size: Size) -> Box | None:
    height, width = size
    left = max(0.0, min(x for x, _ in points))
    top = max(0.0, min(y for _, y in points))
    right = min(float(width), max(x for x, _ in points))
    bottom = min(float(height), max(y for _, y in points))
    return (left, top, right, bottom) if right > left and bottom > top else None


def polygon(value: Mapping[str, Any], size: Size, field: str) -> Mask:
    """The inside of a polygon, whose `points` are pairs of percent."""
    height, width = size
    points = value.get("points")
    if not isinstance(points, list) or not 3 <= len(points) <= MAX_POINTS:
        raise InvalidRequest(
            f"{field}.points must be a list of 3 to {MAX_POINTS} points", field=f"{field}.points"
        )
    pairs = pairs_of([part for point in points for part in _pair(point, field)], f"{field}.points")
    ring = [(x / 100 * width, y / 100 * height) for x, y in pairs]
    return polygons.fill([ring], size, f"{field}.points")


def _pair(point: object, field: str) -> list[Any]:
    if not isinstance(point, list) or len(point) != 2:
        raise InvalidRequest(
            f"{field}.points has {point!r:.80} where [x, y] should be", field=f"{field}.points"
        )
    return point


def pairs_of(flat: list[Any], field: str) -> list[tuple[float, float]]:
    """(x, y) pairs of a flat list of percent. Raises InvalidRequest for anything but numbers."""
    if len(flat) % 2:
        raise InvalidRequest(f"{field} has an odd number of coordinates", field=field)
    numbers = [finite(part, field) for part in flat]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def overlap(first: Box, second: Box) -> float:
    """Intersection over union of two boxes, in [0, 1]."""
    across = min(first[2], second[2]) - max(first[0], second[0])
    down = min(first[3], second[3]) - max(first[1], second[1])
    if across <= 0 or down <= 0:
        return 0.0
    shared = across * down
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return shared / (areas - shared)
