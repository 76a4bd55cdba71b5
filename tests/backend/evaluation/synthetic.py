"""A small segmenter that really segments, and pictures that it can and cannot segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from backend.evaluation.datasets import Labels
from models.prompts import Prompt
from models.segmenter import Image, Prepared, Query, Result, Segmenter, picture_id
from models.state import State

COLOURS = {"object": (200, 60, 40), "background": (30, 90, 160), "hidden": (40, 95, 150)}


@dataclass(frozen=True)
class Blurred(Prepared):
    image: Image


class RegionGrower(Segmenter):
    """Grows a region of like colour from each click, onto the mask of the state.

    A positive click adds its region, a negative one takes it away. A box starts with everything in
    it that looks unlike the picture's corner; an initial mask is taken as it is.
    """

    version = "region-grower@none:000000000000"
    settings = "tolerance=30"

    def __init__(self) -> None:
        self.prepared = 0
        self.continued = 0

    def prepare(self, image: Image, picture: str | None = None) -> Blurred:
        self.prepared += 1
        blurred = np.asarray(cv2.medianBlur(image, 3), np.uint8)
        size = (image.shape[0], image.shape[1])
        return Blurred(picture or picture_id(image), size, blurred.nbytes, blurred)

    def segment_batch(self, queries: Sequence[Query]) -> list[Result]:
        return [self._segment(query) for query in queries]

    def _segment(self, query: Query) -> Result:
        prepared, prompt, state = query.prepared, query.prompt, query.state
        assert isinstance(prepared, Blurred)
        mask = np.zeros(prepared.size, np.bool_)
        clicks = prompt.clicks
        if state is not None and state.belongs_to(self.version, prepared.picture):
            self.continued += 1
            mask = state.arrays["mask"].astype(np.bool_)
            clicks = clicks[-1:]
        elif prompt.box is not None:
            mask |= _unlike_corner(prepared.image, prompt)
        elif prompt.mask is not None:
            mask |= prompt.mask
        for click in clicks:
            region = _region(prepared.image, click.pixel)
            mask = mask | region if click.positive else mask & ~region
        arrays = {"mask": mask.astype(np.uint8)}
        height, width = prepared.size
        return Result(
            prepared.size,
            (0, 0, width, height),
            mask.astype(np.float32),
            State(self.version, prepared.picture, arrays),
        )


def _region(image: Image, seed: tuple[int, int]) -> npt.NDArray[np.bool_]:
    grown = np.zeros((image.shape[0] + 2, image.shape[1] + 2), np.uint8)
    flags = 4 | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY | (255 << 8)
    cv2.floodFill(image.copy(), grown, seed[::-1], 0, (30,) * 3, (30,) * 3, flags)
    return grown[1:-1, 1:-1] > 0


def _unlike_corner(image: Image, prompt: Prompt) -> npt.NDArray[np.bool_]:
    assert prompt.box is not None
    left, top, right, bottom = (round(edge) for edge in prompt.box)
    inside = np.zeros(image.shape[:2], np.bool_)
    inside[top:bottom, left:right] = True
    return inside & (np.abs(image.astype(int) - image[0, 0]).max(axis=2) > 30)


def picture(
    size: tuple[int, int] = (48, 64), *, hidden: bool = False, seed: int = 0
) -> tuple[Image, Labels]:
    """A disk and a bar on a plain ground, noisy; the object is both.

    With `hidden` the bar has nearly the ground's colour, so region growing leaks out of it.
    """
    rows, columns = np.mgrid[: size[0], : size[1]]
    disk = (rows - size[0] // 2) ** 2 + (columns - size[1] // 4) ** 2 <= (size[0] // 4) ** 2
    bar = (columns >= size[1] * 5 // 8) & (columns < size[1] * 6 // 8)
    bar &= (rows >= size[0] // 6) & (rows < size[0] * 5 // 6)
    image = np.empty((*size, 3), np.int64)
    image[:] = COLOURS["background"]
    image[disk] = COLOURS["object"]
    image[bar] = COLOURS["hidden" if hidden else "object"]
    noise = np.random.default_rng(seed).integers(-4, 5, image.shape)
    return (image + noise).astype(np.uint8), (disk | bar).astype(np.int8)
