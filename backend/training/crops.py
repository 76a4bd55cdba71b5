"""Crops as the predictor will see them: drawn by chance, cut out on the training device.

The geometry of a batch is decided in NumPy, a few numbers a sample; all pixels move on the device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from backend.training.resident import IGNORE, RIM, ResidentPictures

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CropDraw:
    """Where a crop may lie.

    With probability `whole` it is the whole picture. Otherwise its sides are those of the
    object's box times a factor drawn log-uniformly from `zoom`, at least `least` pixels, the
    longer at most `stretch` times the shorter where the picture allows it, and its centre moves
    so that the object's box still meets the crop's middle. `turn` is the probability of a
    rotation of up to `degrees`, `flip` and `upside_down` those of mirroring.

    On pictures of `parts` the object is a union of several with probability `unions`, elsewhere
    with probability `merges`.
    """

    whole: float = 0.3
    zoom: tuple[float, float] = (1.1, 4.0)
    least: float = 24.0
    stretch: float = 2.0
    turn: float = 0.25
    degrees: float = 20.0
    flip: float = 0.5
    upside_down: float = 0.05
    unions: float = 0.3
    merges: float = 0.05


@dataclass(frozen=True)
class Chosen:
    """What a batch shows: rows of pictures [B], target tables bool [B, 256], transforms [B, 2, 3].

    A transform takes output coordinates (x, y, 1) in [-1, 1] to pixels (x, y) of the picture.
    """

    picture: npt.NDArray[np.int64]
    table: npt.NDArray[np.bool_]
    transform: Floats


def choose(
    pictures: ResidentPictures,
    weights: Floats,
    count: int,
    draw: CropDraw,
    rng: np.random.Generator,
) -> Chosen:
    """Draw `count` objects, with probabilities `weights`, and a crop for each."""
    cumulated = np.cumsum(weights)
    first = np.searchsorted(cumulated, rng.random(count) * cumulated[-1])
    table = np.zeros((count, 256), np.bool_)
    transform = np.zeros((count, 2, 3))
    rows = pictures.objects.picture[first]
    for sample, (seed, picture) in enumerate(zip(first, rows, strict=True)):
        chance = draw.unions if pictures.kinds[picture] == "parts" else draw.merges
        members = _members(pictures.on_picture[picture], int(seed), chance, rng)
        table[sample, pictures.objects.index[members]] = True
        box = _box(pictures, members)
        transform[sample] = _crop(box, pictures.sizes[picture], draw, rng)
    return Chosen(rows, table, transform)


def _members(
    present: npt.NDArray[np.int64], seed: int, chance: float, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Rows of the objects that make up the target: `seed` and, by chance, others."""
    others = present[present != seed]
    if not len(others) or rng.random() >= chance:
        return np.array([seed], np.int64)
    # All of the parts are one thing again, which is the union that people mean most often.
    count = len(others) if rng.random() < 0.4 else rng.integers(1, len(others), endpoint=True)
    return np.append(rng.choice(others, count, replace=False), seed)


def _box(pictures: ResidentPictures, members: npt.NDArray[np.int64]) -> Floats:
    objects = pictures.objects
    return np.array(
        [
            objects.left[members].min(),
            objects.top[members].min(),
            objects.right[members].max(),
            objects.bottom[members].max(),
        ],
        np.float64,
    )


def _crop(
    box: Floats, size: npt.NDArray[np.int64], draw: CropDraw, rng: np.random.Generator
) -> Floats:
    """The transform of one crop: float64 [2, 3]."""
    limit = np.array([size[1], size[0]], np.float64)
    if rng.random() < draw.whole:
        centre, sides = limit / 2, limit.copy()
    else:
        centre, sides = _zoomed(box, limit, draw, rng)
    angle = 0.0
    if rng.random() < draw.turn:
        angle = math.radians(rng.uniform(-draw.degrees, draw.degrees))
    mirror = np.array(
        [
            -1.0 if rng.random() < draw.flip else 1.0,
            -1.0 if rng.random() < draw.upside_down else 1.0,
        ]
    )
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = turn @ np.diag(mirror * sides / 2)
    return np.concatenate([matrix, centre[:, None]], axis=1)


def _zoomed(
    box: Floats, limit: Floats, draw: CropDraw, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Centre and sides (x, y) of a crop around a box, inside the picture."""
    own = box[2:] - box[:2]
    factor = math.exp(rng.uniform(*np.log(draw.zoom)))
    sides = np.maximum(own * factor * np.exp(rng.normal(0, 0.15, 2)), draw.least)
    sides = np.minimum(np.maximum(sides, sides.max() / draw.stretch), limit)
    slack = np.maximum(sides - own, 0.2 * own) / 2
    centre = (box[:2] + box[2:]) / 2 + rng.uniform(-1, 1, 2) * slack
    centre = np.clip(centre, sides / 2, limit - sides / 2)
    return centre, sides


def cut(pictures: ResidentPictures, chosen: Chosen, side: int) -> tuple[Tensor, Tensor]:
    """The crops on the pictures' device.

    Images float32 [B, 3, side, side] in [0, 1] and targets float32 [B, 1, side, side]: 1 on the
    object, 0 beside it, -1 where nothing is known.
    """
    device = pictures.images.device
    rows = torch.from_numpy(chosen.picture).to(device)
    table = torch.from_numpy(chosen.table).to(device)
    grid = _grid(chosen.transform, side, pictures.images.shape[-1], device)
    images = pictures.images[rows].float().div_(255)
    images = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    index = pictures.masks[rows].long().flatten(1)
    known = (index != IGNORE).float()
    # Bilinear, then rounded: a small mask enlarged keeps smooth edges and gets no stairs.
    layers = torch.stack([table.gather(1, index).float(), known], dim=1)
    layers = layers.view(len(rows), 2, *pictures.masks.shape[1:])
    layers = functional.grid_sample(layers, grid, padding_mode="border", align_corners=False)
    target = (layers[:, :1] > 0.5).float()
    return images, target.masked_fill_(layers[:, 1:] < 0.5, -1)


def _grid(transform: Floats, side: int, longest: int, device: torch.device) -> Tensor:
    """Sampling places for `grid_sample`, float32 [B, side, side, 2]."""
    scaled = transform.copy()
    scaled[:, :, 2] += RIM
    scaled *= 2 / longest
    scaled[:, :, 2] -= 1
    theta = torch.from_numpy(scaled).float().to(device)
    return functional.affine_grid(theta, [len(theta), 1, side, side], align_corners=False)


def pasted(
    images: Tensor, targets: Tensor, chance: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Copy-paste inside a batch (Ghiasi et al., arXiv 2012.07177), with soft edges.

    Some samples get the next sample's object laid over them, smaller or larger, at another place.
    It either becomes the target on a strange background, or covers a part of the target.
    """
    count, _, side, _ = images.shape
    picked = np.flatnonzero(rng.random(count) < chance)
    if count < 2 or not len(picked):
        return images, targets
    donor = (picked + 1) % count
    scale = np.exp(rng.uniform(math.log(0.7), math.log(2.5), len(picked)))
    shift = rng.uniform(-0.6, 0.6, (len(picked), 2)) * scale[:, None]
    theta = np.zeros((len(picked), 2, 3))
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale, scale, shift
    grid = functional.affine_grid(
        torch.from_numpy(theta).float().to(images.device),
        [len(picked), 1, side, side],
        align_corners=False,
    )
    object_mask = (targets[donor] > 0.5).float()
    moved = functional.grid_sample(object_mask, grid, align_corners=False)
    image = functional.grid_sample(images[donor], grid, align_corners=False)
    alpha = functional.avg_pool2d(moved, 3, 1, 1)
    share = moved.mean(dim=(1, 2, 3))
    fits = (share > 0.01) & (share < 0.6)
    becomes = torch.from_numpy(rng.random(len(picked)) < 0.7).to(images.device)
    solid = (moved > 0.5).float()
    below = targets[picked]
    covered = torch.where(solid > 0, torch.zeros_like(below), below)
    left = ((covered > 0.5).sum(dim=(1, 2, 3)) > 0.3 * (below > 0.5).sum(dim=(1, 2, 3))) & ~becomes
    target = torch.where(becomes.view(-1, 1, 1, 1), solid, covered)
    use = (fits & (becomes | left)).view(-1, 1, 1, 1)
    images, targets = images.clone(), targets.clone()
    mixed = torch.lerp(images[picked], image, alpha)
    images[picked] = torch.where(use, mixed, images[picked])
    targets[picked] = torch.where(use, target, below)
    return images, targets
