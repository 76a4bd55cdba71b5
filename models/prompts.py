"""What an annotator says about one object: clicks, a box, scribbles, an initial mask.

Coordinates are pixels of the upright picture, origin top left, x to the right. Pixel (row i,
column j) covers the square [j, j+1) x [i, i+1), so a position (x, y) lies in the pixel
(floor(y), floor(x)) and a click with whole coordinates means that pixel itself.

This module needs neither torch nor a model: every layer above speaks in these words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels, half-open: it covers [left, right) x [top, bottom)."""


@dataclass(frozen=True, slots=True)
class Click:
    """One click: on the object (positive) or beside it (negative)."""

    x: float
    y: float
    positive: bool = True

    @property
    def pixel(self) -> tuple[int, int]:
        """(row, column) of the pixel under the click."""
        return math.floor(self.y), math.floor(self.x)


@dataclass(frozen=True, slots=True)
class Scribble:
    """A stroke: a polyline of (x, y) points drawn with a round brush of `radius` pixels."""

    points: tuple[tuple[float, float], ...]
    positive: bool = True
    radius: float = 3.0


@dataclass(frozen=True, slots=True)
class Prompt:
    """Everything said about one object so far.

    `clicks` are in the order of clicking. `mask` is an initial mask, bool HxW of the picture.
    """

    clicks: tuple[Click, ...] = ()
    box: Box | None = None
    scribbles: tuple[Scribble, ...] = ()
    mask: npt.NDArray[np.bool_] | None = None

    @property
    def base(self) -> Prompt:
        """The prompt without its clicks: what was given beside them."""
        return replace(self, clicks=())

    @property
    def has_base(self) -> bool:
        """Whether anything but clicks was given."""
        return self.box is not None or bool(self.scribbles) or self.mask is not None

    @property
    def points_at_something(self) -> bool:
        """Whether the prompt says where the object is, and not only where it is not."""
        return (
            self.box is not None
            or self.mask is not None
            or any(click.positive for click in self.clicks)
            or any(scribble.positive for scribble in self.scribbles)
        )

    def first(self, clicks: int) -> Prompt:
        """The same prompt with only its first `clicks` clicks."""
        return replace(self, clicks=self.clicks[:clicks])
