"""What a prompt must be, and what becomes of the parts of it that lie outside the picture.

- A position on the right or lower edge belongs to the last pixel: tools clamp there.
- Clicks outside the picture are dropped, as are strokes that lie outside altogether; strokes that
  leave the picture are clamped to it. Networks see nothing out there.
- A box may come with its corners in any order. It is clipped, and dropped if it covers no pixel.
- An initial mask without a pixel is none.

So a prompt whose parts all lie outside becomes an empty one, and gets an empty mask.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from backend.errors import InvalidRequest
from backend.masks import BoolArray
from models.prompts import Box, Click, Prompt, Scribble

MAX_STROKE_POINTS = 20_000
"""Most points of all strokes of one object together."""

MAX_STROKE_RADIUS = 10_000.0

Size = tuple[int, int]
"""(height, width) in pixels."""


def checked(prompt: Prompt, size: Size, max_clicks: int) -> Prompt:
    """The prompt as the networks may see it, on a picture of `size` (height, width).

    Raises InvalidRequest that names the field: a number that is none, too many clicks and strokes
    together, a mask of another size.
    """
    strokes = len(prompt.clicks) + len(prompt.scribbles)
    if strokes > max_clicks:
        raise InvalidRequest(
            f"the object has {strokes} clicks and strokes, more than the limit of {max_clicks}; "
            "begin a new object, or raise MASKLOOP_MAX_CLICKS",
            field="clicks",
        )
    clicks = (_click(index, click, size) for index, click in enumerate(prompt.clicks))
    return Prompt(
        tuple(click for click in clicks if click is not None),
        None if prompt.box is None else _box(prompt.box, size),
        _scribbles(prompt.scribbles, size),
        _mask(prompt.mask, size),
    )


def _number(value: object, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        try:
            value = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise InvalidRequest(
                f"{field} is {value!r}; give a number of pixels", field=field
            ) from None
    if not math.isfinite(value):
        raise InvalidRequest(f"{field} is {value}; give a finite number of pixels", field=field)
    return float(value)


def _inside(value: float, length: int) -> float | None:
    """The coordinate, the far edge moved onto the last pixel; None outside."""
    if value == length:
        return length - 0.5
    return value if 0 <= value < length else None


def _click(index: int, click: Click, size: Size) -> Click | None:
    x = _inside(_number(click.x, f"clicks[{index}].x"), size[1])
    y = _inside(_number(click.y, f"clicks[{index}].y"), size[0])
    return None if x is None or y is None else Click(x, y, bool(click.positive))


def _box(box: Box, size: Size) -> Box | None:
    if len(box) != 4:
        raise InvalidRequest(
            f"box has {len(box)} numbers; give left, top, right, bottom", field="box"
        )
    names = ("left", "top", "right", "bottom")
    x0, y0, x1, y1 = (_number(value, f"box.{name}") for name, value in zip(names, box, strict=True))
    height, width = size
    left, right = max(min(x0, x1), 0.0), min(max(x0, x1), float(width))
    top, bottom = max(min(y0, y1), 0.0), min(max(y0, y1), float(height))
    return (left, top, right, bottom) if left < right and top < bottom else None


def _scribbles(scribbles: Iterable[Scribble], size: Size) -> tuple[Scribble, ...]:
    kept = []
    count = 0
    for index, scribble in enumerate(scribbles):
        field = f"scribbles[{index}]"
        count += len(scribble.points)
        if count > MAX_STROKE_POINTS:
            raise InvalidRequest(
                f"the strokes have more than {MAX_STROKE_POINTS} points; simplify them",
                field=field,
            )
        stroke = _scribble(scribble, field, size)
        if stroke is not None:
            kept.append(stroke)
    return tuple(kept)


def _scribble(scribble: Scribble, field: str, size: Size) -> Scribble | None:
    radius = _number(scribble.radius, f"{field}.radius")
    if not 0 < radius <= MAX_STROKE_RADIUS:
        raise InvalidRequest(
            f"{field}.radius is {radius}; give more than 0 and at most {MAX_STROKE_RADIUS:.0f}",
            field=f"{field}.radius",
        )
    height, width = size
    points = [
        (
            _number(point[0], f"{field}.points[{index}].x"),
            _number(point[1], f"{field}.points[{index}].y"),
        )
        for index, point in enumerate(scribble.points)
    ]
    if not any(0 <= x <= width and 0 <= y <= height for x, y in points):
        return None
    clamped = tuple((_clamped(x, width), _clamped(y, height)) for x, y in points)
    return Scribble(clamped, bool(scribble.positive), radius)


def _clamped(value: float, length: int) -> float:
    return value if 0 <= value < length else min(max(value, 0.0), length - 0.5)


def _mask(mask: BoolArray | None, size: Size) -> BoolArray | None:
    if mask is None:
        return None
    if mask.shape != size or mask.dtype != np.bool_:
        raise InvalidRequest(
            f"mask is {mask.dtype} of shape {mask.shape}; give true and false for each of the "
            f"picture's {size[0]} rows and {size[1]} columns",
            field="mask",
        )
    return mask if mask.any() else None
