"""Strokes and clicks as S2M sees them: thin lines and discs of 0 and 1 on whole pixels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from models.placement import box_click
from models.prompts import Box, Click, Prompt
from models.s2m_options import S2mOptions
from models.scene import clicks_within
from models.zoom import Size

Strokes = npt.NDArray[np.uint8]
"""[2, h, w] of 0 and 1: positive ones, negative ones."""

DrawnMap = npt.NDArray[np.uint8]
"""[h, w]: the object (1, 2, ...) whose stroke lies on a pixel, 0 for the background's."""

NOTHING = 255
"""A pixel of a `DrawnMap` without a stroke."""

Points = Sequence[tuple[float, float]]
"""(x, y) positions in a picture."""


def strokes_of(
    prompt: Prompt, box: Box | None, size: Size, shown: Size, options: S2mOptions
) -> Strokes:
    """What a prompt draws on a picture of `size` that is shown as `shown`.

    `box` is the prompt's within the picture: it draws a dot at its centre, a click one at its
    pixel, none beyond the picture.
    """
    drawn = np.zeros((2, *shown), np.uint8)
    for scribble in prompt.scribbles:
        plane = drawn[0 if scribble.positive else 1]
        draw(plane, scribble.points, 1, size, options)
    for click in _clicks(prompt.clicks, box, size):
        plane = drawn[0 if click.positive else 1]
        draw_dot(plane, (click.x, click.y), 1, size, options)
    return drawn


def draw(
    plane: npt.NDArray[np.uint8], points: Points, value: int, size: Size, options: S2mOptions
) -> None:
    """Draw a polyline over uint8 [h, w], which shows a picture of `size`.

    Without `dot_at_start` a single point leaves nothing.
    """
    pixels = [_pixel(point, size, plane.shape) for point in points]
    if pixels and options.dot_at_start:
        cv2.circle(plane, pixels[0], options.dot_radius, value, thickness=-1)
    for start, end in itertools.pairwise(pixels):
        cv2.line(plane, start, end, value, thickness=options.stroke_thickness)


def draw_dot(
    plane: npt.NDArray[np.uint8],
    point: tuple[float, float],
    value: int,
    size: Size,
    options: S2mOptions,
) -> None:
    """Draw a disc over uint8 [h, w], which shows a picture of `size`."""
    cv2.circle(plane, _pixel(point, size, plane.shape), options.dot_radius, value, thickness=-1)


def strokes_between(every: Sequence[Strokes]) -> list[Strokes]:
    """The strokes of several objects of one picture, each with those of the others.

    Positive strokes of the others are negative ones, unless the object has its own there.
    """
    found = []
    for index, own in enumerate(every):
        others = [strokes[0] for other, strokes in enumerate(every) if other != index]
        against = np.maximum.reduce(others) if others else np.zeros_like(own[0])
        found.append(np.stack([own[0], np.maximum(own[1], against & (1 - own[0]))]))
    return found


def strokes_in(drawn: DrawnMap, number: int) -> Strokes:
    """The strokes for object `number` of a map: all that are not its own are negative."""
    own = drawn == number
    return np.stack([own, (drawn != NOTHING) & ~own]).view(np.uint8)


def _clicks(clicks: Iterable[Click], box: Box | None, size: Size) -> list[Click]:
    """The clicks inside a picture, and one that stands for a box."""
    inside = [click for click in clicks if clicks_within([click], size)]
    return inside if box is None else [box_click(box), *inside]


def _pixel(point: tuple[float, float], size: Size, shown: Sequence[int]) -> tuple[int, int]:
    """(column, row) of the pixel under a position of the picture, where it is shown.

    Far outside, OpenCV's whole numbers would overflow; there nothing is to be seen anyway.
    """
    x, y = (
        min(max(at * shown[axis] / size[axis], -4.0 * shown[axis]), 5.0 * shown[axis])
        for at, axis in zip(point, (1, 0), strict=True)
    )
    return math.floor(x), math.floor(y)
