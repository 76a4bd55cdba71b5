"""What RITM looks at for the next click, decided from what it remembers. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.resampling import moved, spread
from models.ritm_options import RitmOptions
from models.scene import PixelClick, Scene
from models.state import State
from models.zoom import (
    Pixel,
    Roi,
    Size,
    around,
    box_roi,
    clamped,
    expanded,
    into_crop,
    iou,
    leaves,
    limited_size,
    mask_roi,
    scaled_size,
    whole,
)

Placed = tuple[tuple[float, float, bool], ...]
"""(row, column, positive) in pixels of what the network sees."""

SMALL = 0.5
"""An object whose region has a smaller IoU with the picture deserves a second look."""


@dataclass(frozen=True)
class Basis:
    """What the features of an earlier click were made from: as in `View` and in `Memory`."""

    source: Roi
    sizes: tuple[Size, ...]
    previous: Tensor | None = None
    region: Roi | None = None


@dataclass(frozen=True)
class Refinement:
    """What backpropagating refinement leaves for the next click.

    `x` is its correction, float64 or, where it is one of pixels and is served, float16. `basis`
    is there where features outlive their click. With `aborted` a deadline has ended a search
    somewhere on the way here.
    """

    x: npt.NDArray[Any] | None = None
    basis: Basis | None = None
    aborted: bool = False


@dataclass(frozen=True)
class Memory:
    """What one click leaves for the next.

    `previous` is a float map [h, w] of probabilities that lies over `region`; `bounds` is the box
    of the mask, `roi` the zoom-in region, `frame` the size that `max_size` last reduced.
    """

    previous: Tensor | None = None
    region: Roi | None = None
    bounds: Roi | None = None
    roi: Roi | None = None
    frame: Size | None = None
    refinement: Refinement = Refinement()

    @classmethod
    def recalled(cls, state: State) -> Memory:
        """The memory that a state of our own carries."""
        region, bounds, roi = (_roi(state.values.get(name)) for name in ("region", "bounds", "roi"))
        frame = state.values.get("frame")
        return cls(
            previous=_tensor(state.arrays.get("previous")),
            region=region,
            bounds=bounds,
            roi=roi,
            frame=None if frame is None else (frame[0], frame[1]),
            refinement=_recalled_refinement(state),
        )

    def state(self, version: str, picture: str) -> State:
        """The same as a state of a model version and a picture."""
        places = {"region": self.region, "bounds": self.bounds, "roi": self.roi}
        values = {name: None if roi is None else list(roi) for name, roi in places.items()}
        values["frame"] = None if self.frame is None else list(self.frame)
        arrays, more = _stored_refinement(self.refinement)
        if self.previous is not None:
            arrays["previous"] = self.previous.numpy()
        return State(version, picture, arrays, values | more)

    @classmethod
    def of_mask(cls, mask: npt.NDArray[np.bool_], options: RitmOptions) -> Memory:
        """As if the network had answered bool HxW `mask`; nothing remembered of an empty one."""
        bounds = mask_roi(mask)
        if bounds is None:
            return cls()
        grown = expanded(bounds, options.expansion_ratio, options.min_crop_size)
        region = clamped(grown, (mask.shape[0], mask.shape[1]))
        size = scaled_size(region.size, options.zoom_target)
        over_picture = cls(torch.from_numpy(mask), whole((mask.shape[0], mask.shape[1])))
        previous = over_picture.seen(region, size)
        return cls(None if previous is None else previous.half(), region, bounds)

    def seen(self, source: Roi, size: Size) -> Tensor | None:
        """The previous map, float32 `size`, as it looks in the crop of `source`."""
        if self.previous is None or self.region is None:
            return None
        if self.region == source and self.previous.shape == size:
            return self.previous.float()
        rows = spread(source.top, source.bottom, size[0]) - self.region.top
        columns = spread(source.left, source.right, size[1]) - self.region.left
        scale = [
            (pixels - 1) / max(side - 1, 1)
            for pixels, side in zip(self.previous.shape, self.region.size, strict=True)
        ]
        return moved(self.previous, rows * scale[0], columns * scale[1])


@dataclass(frozen=True)
class View:
    """What the network is shown, and where its answer belongs.

    It sees `source` resampled to each of `sizes` in turn, with `clicks` (row, column, positive)
    in pixels of the last. The answer is resampled to each of `back` and lies over `region`, whose
    size is the last of them. `roi` and `frame` are what `Memory` then holds.

    Of all clicks, `marks` in the same form as `clicks`, those that the network is not shown are
    the later ones. `changed` says that pixels here are others than those of the click before.
    """

    source: Roi
    sizes: tuple[Size, ...]
    clicks: Placed
    back: tuple[Size, ...]
    region: Roi
    roi: Roi | None
    frame: Size | None
    marks: Placed = ()
    changed: bool = True

    @property
    def size(self) -> Size:
        """(height, width) of the network's input."""
        return self.sizes[-1]


def look(memory: Memory, scene: Scene, options: RitmOptions) -> View:
    """Decide what to show the network for the next answer."""
    candidate = _candidate(memory, scene, options)
    if candidate is None:
        roi = memory.roi if options.keep_stale_roi else None
        source = whole(scene.size)
        between = limited_size(scene.size, options.first_click_side)
    else:
        roi = _kept(memory.roi, candidate, scene, options)
        source = roi
        between = scaled_size(roi.size, options.zoom_target)
    size = limited_size(between, options.max_size)
    frame = memory.frame if size == between else between
    region = roi or whole(scene.size)
    zoomed_and_limited = candidate is not None and size != between
    marks = _placed(scene.clicks, source, between, size)
    replaced = candidate is not None and roi is candidate
    return View(
        source=source,
        sizes=(between, size) if zoomed_and_limited else (size,),
        clicks=marks[: options.net_clicks_limit],
        back=(region.size,) if frame is None else (frame, region.size),
        region=region,
        roi=roi,
        frame=frame,
        marks=marks,
        changed=replaced or roi != memory.roi or size != between,
    )


def look_again(memory: Memory, view: View, scene: Scene, options: RitmOptions) -> View | None:
    """The second view within one click, if the rule of `skip_clicks` <= 0 asks for it.

    `memory` is what the first view left behind.
    """
    if not options.zoom_in or options.skip_clicks > 0 or view.roi is not None:
        return None
    if memory.bounds is None or options.one_shot:
        return None
    found = _region_around(memory.bounds, [], scene.size, options)
    if iou(found, whole(scene.size)) >= SMALL:
        return None
    return look(memory, scene, options)


def _candidate(memory: Memory, scene: Scene, options: RitmOptions) -> Roi | None:
    """The region to zoom in on, None for the whole picture as it is."""
    early = len(scene.clicks) <= options.skip_clicks and not scene.begun
    if not options.zoom_in or options.one_shot or early:
        return None
    known = memory.bounds
    if known is None and scene.box is not None:
        known = box_roi(scene.box)
    if known is not None:
        return _region_around(known, scene.positive, scene.size, options)
    return whole(scene.size) if options.skip_clicks < 0 and options.zooms_in_blindly else None


def _region_around(known: Roi, pixels: Sequence[Pixel], size: Size, options: RitmOptions) -> Roi:
    found = around(known, pixels)
    grown = expanded(found, options.expansion_ratio, options.min_crop_size)
    return clamped(grown, size)


def _kept(stored: Roi | None, candidate: Roi, scene: Scene, options: RitmOptions) -> Roi:
    """The stored region, or the candidate where the stored one no longer does."""
    if stored is None or leaves(stored, scene.positive):
        return candidate
    return candidate if iou(candidate, stored) < options.recompute_iou else stored


def _placed(clicks: Sequence[PixelClick], source: Roi, between: Size, size: Size) -> Placed:
    """Clicks of the picture in pixels of what the network sees."""
    placed = []
    for row, column, positive in clicks:
        at = into_crop(row, column, source, between)
        if size != between:
            at = into_crop(*at, whole(between), size)
        placed.append((*at, positive))
    return tuple(placed)


def anchored(basis: Basis, view: View, scene: Scene, options: RitmOptions) -> View:
    """The view that features were made from earlier, as far as the network's input goes."""
    placed = _placed(scene.clicks, basis.source, basis.sizes[0], basis.sizes[-1])
    clicks = placed[: options.net_clicks_limit]
    return replace(view, source=basis.source, sizes=basis.sizes, clicks=clicks)


def _recalled_refinement(state: State) -> Refinement:
    """The refinement that a state of our own carries."""
    basis, told = None, state.values.get("basis")
    if told is not None:
        sizes = tuple((height, width) for height, width in told["sizes"])
        shown = _tensor(state.arrays.get("basis"))
        basis = Basis(Roi(*told["source"]), sizes, shown, _roi(told["region"]))
    return Refinement(state.arrays.get("x"), basis, bool(state.values.get("aborted")))


def _stored_refinement(
    refinement: Refinement,
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """A refinement as arrays and values of a state; nothing where there was none."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    values: dict[str, Any] = {}
    basis = refinement.basis
    if refinement.x is not None:
        arrays["x"] = refinement.x
    if basis is not None:
        values["basis"] = {
            "source": list(basis.source),
            "sizes": [list(size) for size in basis.sizes],
            "region": None if basis.region is None else list(basis.region),
        }
        if basis.previous is not None:
            arrays["basis"] = basis.previous.numpy()
    if refinement.aborted:
        values["aborted"] = True
    return arrays, values


def _tensor(array: npt.NDArray[Any] | None) -> Tensor | None:
    return None if array is None else torch.from_numpy(np.array(array))


def _roi(values: Sequence[int] | None) -> Roi | None:
    return None if values is None else Roi(*values)
