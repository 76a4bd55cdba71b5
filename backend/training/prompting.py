"""The simulated annotator of networks that see prompts as maps: clicks, strokes, boxes, masks.

Everything happens on the training device for the whole batch at once. Maps are float32
[B, 4, S, S]: positive places, negative places, box, previous probabilities (see
`models.prompt_maps`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from backend.training.next_click import squared_distances
from models.prompt_maps import CLICK_RADIUS, STROKE_RADIUS

POSITIVE, NEGATIVE, BOX, PREVIOUS = range(4)

GRID = 56
"""Cells per side on which distances are taken: fine enough to find the middle of an error."""


@dataclass(frozen=True)
class PromptDraw:
    """How the first prompt of a sample is made; what remains is a single click.

    `box`, `stroke`, `mask` and `many` are probabilities: a loose box, a stroke along the object,
    a spoiled mask to correct, up to `most` clicks at once. `centred` is the probability of a
    click at the middle of an error and not anywhere in its deeper half.
    """

    box: float = 0.15
    stroke: float = 0.1
    mask: float = 0.08
    many: float = 0.2
    most: int = 6
    centred: float = 0.5


def first_prompt(target: Tensor, draw: PromptDraw, generator: torch.Generator) -> Tensor:
    """The prompt maps [B, 4, S, S] that a sample begins with; target [B, 1, S, S] of 1, 0, -1."""
    batch, _, side, _ = target.shape
    maps = target.new_zeros(batch, 4, side, side)
    kind = torch.rand(batch, generator=generator, device=target.device)
    limits = torch.tensor([draw.box, draw.stroke, draw.mask, draw.many]).cumsum(0).tolist()
    boxed = kind < limits[0]
    stroked = (kind >= limits[0]) & (kind < limits[1])
    masked = (kind >= limits[1]) & (kind < limits[2])
    many = (kind >= limits[2]) & (kind < limits[3])
    maps[:, BOX] = boxes(target, generator) * boxed.view(-1, 1, 1)
    maps[:, PREVIOUS] = spoiled(target, generator)[:, 0] * masked.view(-1, 1, 1)
    # A box alone is a whole prompt now and then; a spoiled mask always gets its first correction.
    alone = boxed & (torch.rand(batch, generator=generator, device=target.device) < 0.6)
    maps = add_clicks(maps, target, generator, draw.centred, ~(alone | stroked))
    maps = add_strokes(maps, target, generator, stroked)
    for _ in range(draw.most - 1 if bool(many.any()) else 0):
        more = many & (torch.rand(batch, generator=generator, device=target.device) < 0.6)
        maps = add_spread(maps, target, generator, more)
    return maps


def add_clicks(
    maps: Tensor,
    target: Tensor,
    generator: torch.Generator,
    centred: float,
    wanted: Tensor | None = None,
) -> Tensor:
    """One more click per sample, in the deeper part of its larger error, as maps.

    The error is that of the previous probabilities in `maps`. Samples without an error, and those
    that are not `wanted` (bool [B]), stay as they are.
    """
    previous = maps[:, PREVIOUS : PREVIOUS + 1] > 0.5
    missing = ((target == 1) & ~previous)[:, 0]
    surplus = ((target == 0) & previous)[:, 0]
    depth = squared_distances(_cells(torch.cat([missing, surplus]))).float()
    missed, added = depth.chunk(2)
    positive = missed.flatten(1).amax(dim=1) >= added.flatten(1).amax(dim=1)
    chosen = torch.where(positive.view(-1, 1, 1), missed, added)
    deepest = chosen.flatten(1).amax(dim=1).view(-1, 1, 1)
    middle = torch.rand(len(maps), generator=generator, device=maps.device) < centred
    # The depth is squared: a quarter of it is half of the distance.
    share = torch.where(middle, 0.8, 0.25).view(-1, 1, 1)
    allowed = (chosen >= deepest * share) & (deepest > 0)
    error = torch.where(positive.view(-1, 1, 1), missing, surplus)
    places, found = _anywhere(error, allowed, generator)
    if wanted is not None:
        found = found & wanted
    return _with_disks(maps, places, positive, found, CLICK_RADIUS)


def add_spread(maps: Tensor, target: Tensor, generator: torch.Generator, wanted: Tensor) -> Tensor:
    """One more click anywhere well inside the object, or beside it and near to it."""
    inside = target[:, 0] == 1
    near = functional.interpolate(inside[:, None].float(), size=(GRID, GRID), mode="area") > 0
    near = functional.max_pool2d(near.float(), 11, 1, 5)
    near = functional.interpolate(near, size=target.shape[-2:])[:, 0] > 0
    beside = (target[:, 0] == 0) & near
    positive = torch.rand(len(maps), generator=generator, device=maps.device) < 0.5
    area = torch.where(positive.view(-1, 1, 1), inside, beside)
    depth = squared_distances(_cells(area))
    allowed = depth > (depth.flatten(1).amax(dim=1) >= 2).view(-1, 1, 1).int()
    places, found = _anywhere(area, allowed, generator)
    return _with_disks(maps, places, positive, found & wanted, CLICK_RADIUS)


def add_strokes(
    maps: Tensor, target: Tensor, generator: torch.Generator, wanted: Tensor, points: int = 32
) -> Tensor:
    """A smooth positive stroke through the object, as far as it stays on it."""
    rows = wanted.nonzero()[:, 0]
    if not len(rows):
        return maps
    drawn = _stroke(maps[rows], target[rows, 0] == 1, generator, points)
    maps = maps.clone()
    maps[rows] = drawn
    return maps


def _stroke(maps: Tensor, inside: Tensor, generator: torch.Generator, points: int) -> Tensor:
    """The maps with a curve between random places of the object, bool [B, S, S], drawn in."""
    side = inside.shape[-1]
    everywhere = torch.ones_like(inside)
    start, bend, end = (
        _anywhere(inside, everywhere, generator)[0].float()[:, None] for _ in range(3)
    )
    # The middle half of the curve: a stroke is seldom as long as its object.
    at = torch.linspace(0.25, 0.75, points, device=maps.device).view(1, -1, 1)
    curve = (1 - at) ** 2 * start + 2 * at * (1 - at) * bend + at**2 * end
    index = torch.cat([curve.round().long(), start.long()], dim=1)
    on = inside.flatten(1).gather(1, index[..., 0] * side + index[..., 1])
    positive = torch.ones(len(maps), dtype=torch.bool, device=maps.device)
    for point in range(index.shape[1]):
        maps = _with_disks(maps, index[:, point], positive, on[:, point], STROKE_RADIUS)
    return maps


def boxes(target: Tensor, generator: torch.Generator, spread: float = 0.12) -> Tensor:
    """Boxes around the objects, [B, S, S] of 1 inside, each edge moved by some of the side."""
    side = target.shape[-1]
    place = torch.arange(side, device=target.device, dtype=torch.float32)
    edges = []
    for axis in (2, 1):
        on = (target[:, 0] == 1).any(dim=axis)
        first = on.float().argmax(dim=1).float()
        last = side - 1 - on.flip(1).float().argmax(dim=1).float()
        moves = torch.randn(len(target), 2, generator=generator, device=target.device)
        # Mostly outwards, as a person drags a box around a thing.
        moves = (moves * 0.5 + 0.4) * spread * (last - first + 1)[:, None]
        inside = (place >= (first - moves[:, 0])[:, None]) & (
            place <= (last + moves[:, 1])[:, None]
        )
        edges.append(inside & on.any(dim=1, keepdim=True))
    return (edges[0][:, :, None] & edges[1][:, None, :]).float()


def spoiled(target: Tensor, generator: torch.Generator) -> Tensor:
    """Masks as an annotator meets them: shifted, coarse, with parts missing or added."""
    batch, _, side, _ = target.shape
    noise = torch.randn(batch, 1, 7, 7, generator=generator, device=target.device)
    noise = functional.interpolate(noise, size=(GRID, GRID), mode="bilinear", align_corners=False)
    solid = functional.interpolate((target == 1).float(), size=(GRID, GRID), mode="area")
    soft = functional.avg_pool2d(solid, 5, 1, 2, count_include_pad=False)
    level = torch.rand(batch, 1, 1, 1, generator=generator, device=target.device)
    soft = soft + noise * 0.35 * level
    soft = functional.interpolate(soft, size=(side, side), mode="bilinear", align_corners=False)
    return (soft > 0.5).float()


def degraded(maps: Tensor, generator: torch.Generator, chance: float = 0.35) -> Tensor:
    """Previous probabilities of some samples as they come from a wider crop: less sharp."""
    side = maps.shape[-1]
    factor = float(torch.rand((), generator=generator, device=maps.device)) * 0.6 + 0.15
    small = max(8, round(side * factor))
    previous = maps[:, PREVIOUS:]
    coarse = functional.interpolate(
        previous, size=(small, small), mode="bilinear", antialias=True, align_corners=False
    )
    coarse = functional.interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False)
    picked = torch.rand(len(maps), generator=generator, device=maps.device) < chance
    maps = maps.clone()
    maps[:, PREVIOUS:] = torch.where(picked.view(-1, 1, 1, 1), coarse, previous)
    return maps


def _cells(masks: Tensor) -> Tensor:
    """Bool [N, S, S] -> bool [N, GRID, GRID]: cells that are set for the most part."""
    stride = masks.shape[-1] // GRID
    if stride <= 1:
        return masks
    return functional.avg_pool2d(masks[:, None].float(), stride)[:, 0] > 0.5


def _anywhere(area: Tensor, allowed: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A random pixel (row, column) int64 [B, 2] of `area` in `allowed` cells, and whether one is.

    Where the allowed cells hold no pixel of it (an error too thin to fill a cell), any will do.
    """
    side = area.shape[-1]
    if allowed.shape != area.shape:
        spread = functional.interpolate(allowed[:, None].float(), size=(side, side))
        allowed = spread[:, 0] > 0
    best = (area & allowed).flatten(1)
    best = torch.where(best.any(dim=1, keepdim=True), best, area.flatten(1))
    chance = torch.rand(best.shape, generator=generator, device=area.device)
    place = (chance * best).argmax(dim=1)
    return torch.stack([place // side, place % side], dim=1), best.any(dim=1)


def _with_disks(
    maps: Tensor, places: Tensor, positive: Tensor, found: Tensor, radius: float
) -> Tensor:
    """The maps with one disk more per sample where `found`."""
    side = maps.shape[-1]
    at = torch.arange(side, device=maps.device)
    rows = (at[None, :, None] - places[:, 0].view(-1, 1, 1)).square()
    columns = (at[None, None, :] - places[:, 1].view(-1, 1, 1)).square()
    disk = (rows + columns <= radius**2) & found.view(-1, 1, 1)
    sign = torch.stack([positive, ~positive], dim=1).view(-1, 2, 1, 1)
    drawn = torch.maximum(maps[:, :BOX], (disk[:, None] & sign).float())
    return torch.cat([drawn, maps[:, BOX:]], dim=1)
