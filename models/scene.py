"""A prompt as a network that knows clicks alone has it: pixels, and a box that clicks stand for.

Pure geometry, shared by all systems of clicks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.placement import as_clicks, box_within
from models.prompts import Box, Click, Prompt
from models.zoom import Pixel, Roi, Size, around, box_roi, clamped, expanded

PixelClick = tuple[int, int, bool]
"""(row, column, positive)."""


@dataclass(frozen=True)
class Scene:
    """One question, as far as deciding where to look is concerned.

    `size` is (height, width) of the picture. `clicks` are all clicks there are, those that stand
    for a box or a scribble included; `own` are the annotator's. `box` is within the picture. With
    `begun`, clicks need not be counted before zooming in.
    """

    size: Size
    clicks: Sequence[PixelClick]
    own: Sequence[PixelClick] = ()
    box: Box | None = None
    begun: bool = False

    @property
    def positive(self) -> list[Pixel]:
        """The pixels of the positive clicks."""
        return [(row, column) for row, column, positive in self.clicks if positive]


def scene_of(prompt: Prompt, size: Size, *, mask_begins: bool = True) -> Scene:
    """Clicks and box of a prompt, as far as they are inside a picture of `size`.

    A box begins an object; so does an initial mask, with `mask_begins`.
    """
    box = None if prompt.box is None else box_within(prompt.box, size)
    return Scene(
        size=size,
        clicks=clicks_within(as_clicks(replace(prompt, box=box)), size),
        own=clicks_within(prompt.clicks, size),
        box=box,
        begun=box is not None or (prompt.mask is not None and mask_begins),
    )


def clicks_within(clicks: Sequence[Click], size: Size) -> list[PixelClick]:
    """The pixels of the clicks that lie inside a picture of `size`."""
    pixels = [(*click.pixel, click.positive) for click in clicks]
    return [click for click in pixels if 0 <= click[0] < size[0] and 0 <= click[1] < size[1]]


def confinement(scene: Scene, margin: float) -> Roi | None:
    """Where a box lets the mask be: the box and `margin` of its sides; None without a box.

    A positive click of the annotator's own beyond the box widens it, by the same margin.
    """
    if scene.box is None:
        return None
    box = box_roi(scene.box)
    limits = expanded(box, 1 + 2 * margin)
    beyond = round(margin * max(box.size))
    for row, column, positive in scene.own:
        if positive:
            corners = [(row - beyond, column - beyond), (row + beyond, column + beyond)]
            limits = around(limits, corners)
    return clamped(limits, scene.size)
