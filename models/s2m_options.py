"""How S2M is used stroke by stroke: what serving needs, and what the authors' programs do."""

from __future__ import annotations

from dataclasses import dataclass, fields

LEAST_SIDE = 32
"""A shorter long side would be a pixel or two at the network's coarsest stride."""


@dataclass(frozen=True)
class S2mOptions:
    """Defaults serve users; every way of the two original programs is reachable.

    Size. The long side of what the network sees is limited to `picture_side` (None: the picture
    as it is). Strokes are drawn at that size, so they are equally wide on every picture.

    Strokes have OpenCV's `stroke_thickness`, of which 3 is five pixels wide; with `dot_at_start`
    each begins with a disc of `dot_radius`, which is also what a click is.

    Previous mask. An initial mask is the previous mask, 0 or 1 or, with `soft_previous`, with the
    shades that shrinking gives it. With `feedback` each answer is the previous mask of the next
    click in its stead; without, an answer depends on the prompt alone, as before the authors'
    "commit".

    Several objects. With `hard_aggregation` each pixel goes to one of them, or to the background,
    in full. Without, it is shared, and a pixel that two of them want may be more than
    `threshold` of neither.

    Answer. A mask is where the probability exceeds `threshold`. With a box, it is confined to
    that box with `box_margin` of its sides all around.

    `bgr` shows the colours in the wrong order, as the program for a single object does.
    `fast_arithmetic` folds norms into convolutions and lays channels innermost: the same sums in
    another order, within 1e-4.
    """

    picture_side: int | None = 800
    stroke_thickness: int = 3
    dot_radius: int = 3
    dot_at_start: bool = True
    soft_previous: bool = False
    feedback: bool = False
    hard_aggregation: bool = True
    threshold: float = 0.5
    box_margin: float = 0.1
    bgr: bool = False
    fast_arithmetic: bool = True

    def __post_init__(self) -> None:
        side = self.picture_side
        good = side is None or side >= LEAST_SIDE
        self._require("picture_side", good, f"None or >= {LEAST_SIDE}")
        self._require("stroke_thickness", 1 <= self.stroke_thickness <= 255, "within 1..255")
        self._require("dot_radius", 0 <= self.dot_radius <= 255, "within 0..255")
        self._require("threshold", 0 <= self.threshold <= 1, "within 0..1")
        self._require("box_margin", self.box_margin >= 0, ">= 0")

    def _require(self, name: str, holds: bool, allowed: str) -> None:
        if not holds:
            value = getattr(self, name)
            raise ValueError(f"the S2M option {name} is {value}; it must be {allowed}")

    @property
    def text(self) -> str:
        """All options in one line; equal for equal options only."""
        return " ".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))


FAITHFUL = S2mOptions(picture_side=None, dot_at_start=False, fast_arithmetic=False)
"""As in MiVOS, the authors' program for several objects."""

FAITHFUL_SINGLE = S2mOptions(picture_side=None, soft_previous=True, bgr=True, fast_arithmetic=False)
"""As in the authors' program for a single object, its swapped colours included."""
