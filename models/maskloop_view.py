"""Where our own network looks, and what it remembers of what it saw. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.maskloop_options import MaskloopOptions
from models.prompts import Box, Click, Prompt
from models.scene import clicks_within
from models.state import State
from models.zoom import (
    NOWHERE,
    Pixel,
    Roi,
    Size,
    around,
    box_roi,
    clamped,
    expanded,
    mask_roi,
    whole,
)

FINE = 255
"""Probabilities are remembered in steps of 1/255: a byte a pixel."""


@dataclass(frozen=True)
class Memory:
    """What one look leaves for the next.

    `previous` is uint8 [h, w], probabilities in steps of 1/255 over `region`; `bounds` is the box
    of the mask, None where nothing was found.
    """

    previous: npt.NDArray[np.uint8]
    region: Roi
    bounds: Roi | None

    @classmethod
    def recalled(cls, state: State) -> Memory:
        """The memory that a state of our own carries."""
        bounds = state.values["bounds"]
        return cls(
            np.asarray(state.arrays["previous"], np.uint8),
            Roi(*state.values["region"]),
            None if bounds is None else Roi(*bounds),
        )

    @classmethod
    def of_mask(cls, mask: npt.NDArray[np.bool_], options: MaskloopOptions) -> Memory | None:
        """As if the network had answered bool HxW `mask`; None for an empty one."""
        bounds = mask_roi(np.ascontiguousarray(mask, np.bool_))
        if bounds is None:
            return None
        size = (mask.shape[0], mask.shape[1])
        over_picture = cls(mask.view(np.uint8) * np.uint8(FINE), whole(size), bounds)
        region = crop_around(bounds, size, options)
        seen = over_picture.seen(region, options.side)
        return cls((seen * FINE).round().astype(np.uint8), region, bounds)

    def state(self, version: str, picture: str) -> State:
        """The same as a state of a model version and a picture."""
        values = {
            "region": list(self.region),
            "bounds": None if self.bounds is None else list(self.bounds),
        }
        return State(version, picture, {"previous": self.previous}, values)

    def seen(self, roi: Roi, side: int) -> npt.NDArray[np.float32]:
        """The probabilities in a crop of `roi`, float32 [side, side]; 0 outside `region`."""
        previous = self.previous.astype(np.float32) / FINE
        if roi == self.region and previous.shape == (side, side):
            return np.asarray(previous, np.float32)
        scale = [
            pixels / extent for pixels, extent in zip(previous.shape, self.region.size, strict=True)
        ]
        steps = [extent / side for extent in roi.size]
        first = [roi.top - self.region.top, roi.left - self.region.left]
        slope_y, slope_x = scale[0] * steps[0], scale[1] * steps[1]
        start_y = scale[0] * (first[0] + steps[0] / 2) - 0.5
        start_x = scale[1] * (first[1] + steps[1] / 2) - 0.5
        matrix = np.array([[slope_x, 0, start_x], [0, slope_y, start_y]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpAffine(previous, matrix, (side, side), flags=flags)
        return np.asarray(warped, np.float32)


def crop_around(found: Roi, size: Size, options: MaskloopOptions) -> Roi:
    """The crop for what lies in `found`, inside a picture of `size`."""
    crop = clamped(expanded(found, options.expansion_ratio, options.min_crop_size), size)
    height, width = crop.size
    least = max(height, width) / options.stretch
    return clamped(expanded(crop, 1, least), size)


def pointed_at(prompt: Prompt, size: Size) -> list[Pixel]:
    """The pixels of a picture of `size` that clicks and strokes say are on the object."""
    strokes = (
        Click(x, y)
        for scribble in prompt.scribbles
        if scribble.positive
        for x, y in scribble.points
    )
    clicks = clicks_within([*prompt.clicks, *strokes], size)
    return [(row, column) for row, column, positive in clicks if positive]


def look(
    memory: Memory | None,
    box: Box | None,
    positive: Sequence[Pixel],
    size: Size,
    options: MaskloopOptions,
) -> Roi:
    """The region to show for the next answer; `positive` is what is pointed at."""
    if memory is not None and memory.bounds is not None:
        return crop_around(around(memory.bounds, positive), size, options)
    if box is not None and (boxed := clamped(box_roi(box), size)) != NOWHERE:
        return crop_around(around(boxed, positive), size, options)
    if memory is None:
        return whole(size)
    return _searched(positive, memory.region, size, options)


def look_again(
    memory: Memory, positive: Sequence[Pixel], size: Size, options: MaskloopOptions
) -> Roi | None:
    """A second, closer look within one answer that began with the whole picture."""
    if not options.second_look or memory.region != whole(size):
        return None
    if memory.bounds is None:
        closer = _searched(positive, memory.region, size, options)
    else:
        closer = crop_around(around(memory.bounds, positive), size, options)
    height, width = closer.size
    return closer if height * width <= options.large * size[0] * size[1] else None


def _searched(positive: Sequence[Pixel], seen: Roi, size: Size, options: MaskloopOptions) -> Roi:
    """Where to look for something that was not found in `seen`."""
    if not positive:
        return whole(size)
    row, column = positive[0]
    clicked = around(Roi(row, row, column, column), positive)
    side = max(options.search * max(size), options.min_crop_size)
    return clamped(expanded(clicked, options.expansion_ratio, side), size)
