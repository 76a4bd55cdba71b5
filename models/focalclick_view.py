"""What FocalClick looks at for the next click, decided from what it remembers. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.clicks_encoding import Positions
from models.focalclick_crops import target_region
from models.focalclick_memory import Memory
from models.focalclick_options import FocalClickOptions
from models.scene import PixelClick, Scene
from models.zoom import Roi, Size, box_roi, into_crop, whole


@dataclass(frozen=True)
class View:
    """What the coarse network is shown, and where its answer belongs.

    It sees `source` with `clicks` (row, column, positive) in pixels of its input. The answer lies
    over `region`. `roi` is what `Memory` then holds.
    """

    source: Roi
    clicks: Positions
    region: Roi
    roi: Roi | None


def look(memory: Memory, scene: Scene, options: FocalClickOptions) -> View:
    """Decide what to show the coarse network for the next answer: the target crop."""
    crop = _target(memory, scene, options)
    if crop is not None:
        return View(crop, placed(scene.clicks, crop, options), crop, crop)
    source = whole(scene.size)
    roi = memory.roi if options.keep_stale_roi else None
    return View(source, placed(scene.clicks, source, options), roi or source, roi)


def placed(clicks: Sequence[PixelClick], crop: Roi, options: FocalClickOptions) -> Positions:
    """Clicks of the picture in pixels of the network's input for a crop; some may lie outside."""
    size = (options.infer_size, options.infer_size)
    return tuple((*into_crop(row, column, crop, size), sign) for row, column, sign in clicks)


def within_input(
    focus: Roi, region: Roi, options: FocalClickOptions
) -> tuple[float, float, float, float]:
    """Where a focus crop lies in the network's input for `region`.

    (left, top, right, bottom), half-open.
    """
    side = options.infer_size
    top, left = into_crop(focus.top, focus.left, region, (side, side))
    bottom, right = into_crop(focus.bottom + 1, focus.right + 1, region, (side, side))
    edges = (min(max(edge, 0.0), float(side)) for edge in (left, top, right, bottom))
    return next(edges), next(edges), next(edges), next(edges)


def _target(memory: Memory, scene: Scene, options: FocalClickOptions) -> Roi | None:
    """The target crop, None for the whole picture."""
    early = len(scene.clicks) <= options.skip_clicks and not scene.begun
    if not options.zoom_in or early:
        return None
    known = memory.bounds
    if known is None and scene.box is not None:
        known = box_roi(scene.box)
    if known is None:
        return None
    size: Size = scene.size
    ratio, least = options.expansion_ratio, options.min_crop_size
    return target_region(known, scene.positive, size, ratio, least)
