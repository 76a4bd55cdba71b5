"""What FocalClick's refiner learns from: a close view of a part of each sample.

Chen et al., "FocalClick: Towards Practical Interactive Image Segmentation", CVPR 2022; the numbers
are those of its training code. Regions are half-open (left, top, right, bottom) in whole pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backend.training.losses import IGNORED

Image = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int8]
Mask = npt.NDArray[np.bool_]
Region = tuple[int, int, int, int]

SPECK = 150
"""Parts of an object with fewer pixels are taken out of the truth (joined by their sides)."""

SMALL_OBJECT = 3600
"""Objects with fewer pixels are always seen whole."""

BOUNDARY_SHARE = 0.4
"""Of the other objects, how many are seen at a piece of their boundary."""

NEAREST = 32
"""The shortest side of a view of a whole object, before it is cut at the picture's border."""

FEW = 10
"""An object with fewer pixels has no box: the whole picture is seen."""

TRIMAP_SCALE = 8
"""How coarse a mask is that is wrong only near the boundary."""


@dataclass(frozen=True)
class Focus:
    """The view of one sample, at the size of the sample itself.

    `image` uint8 HxWx3, `labels` int8 HxW of 1, 0 and -1 (unknown), `trimap` bool HxW: near the
    boundary. `region` is what it shows of the sample.
    """

    image: Image
    labels: Labels
    trimap: Mask
    region: Region


def focus(image: Image, labels: Labels, random: np.random.Generator) -> Focus:
    """A random view of the object in uint8 HxWx3 and int8 HxW (1: object, -1: unknown)."""
    height, width = labels.shape
    mask = labels == 1
    region = random_region(mask, random)
    left, top, right, bottom = region
    part = np.s_[top:bottom, left:right]
    seen = _resized(mask[part], (height, width))
    unknown = _resized(labels[part] == IGNORED, (height, width)) & ~seen
    return Focus(
        cv2.resize(image[part], (width, height)).astype(np.uint8),
        np.where(unknown, IGNORED, seen).astype(np.int8),
        _resized(trimap(mask)[part], (height, width)),
        region,
    )


def random_region(mask: Mask, random: np.random.Generator) -> Region:
    """A region around the object or, for a larger object, on a piece of its boundary."""
    if np.count_nonzero(mask) < SMALL_OBJECT or random.random() >= BOUNDARY_SHARE:
        return around(mask, random)
    return on_boundary(mask, random)


def around(mask: Mask, random: np.random.Generator) -> Region:
    """The box of the largest part, 1.1 to 1.6 times as large and moved by up to 30 per cent."""
    height, width = mask.shape
    top, bottom, left, right = _box(_largest_part(mask))
    ratio = int(random.integers(11, 17)) / 10
    tall = max(ratio * (bottom - top + 1), NEAREST)
    wide = max(ratio * (right - left + 1), NEAREST)
    down = int(random.integers(-int(tall * 0.3), int(tall * 0.3) + 1))
    aside = int(random.integers(-int(wide * 0.3), int(wide * 0.3) + 1))
    row, column = (top + bottom) / 2, (left + right) / 2
    return (
        max(0, int(column - wide / 2) + aside),
        max(0, int(row - tall / 2) + down),
        min(width, int(column + wide / 2) + aside),
        min(height, int(row + tall / 2) + down),
    )


def on_boundary(mask: Mask, random: np.random.Generator) -> Region:
    """A window of 1/3.9 to 1/1.5 of each side, its centre just outside the object.

    Centres that keep the whole window inside the picture are preferred.
    """
    height, width = mask.shape
    tall = int(height / (int(random.integers(15, 40)) / 10))
    wide = int(width / (int(random.integers(15, 40)) / 10))
    dilated = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(np.bool_)
    outside = dilated & ~mask
    inner = np.zeros_like(mask)
    inner[tall // 2 : height - tall // 2, wide // 2 : width - wide // 2] = True
    candidates = np.flatnonzero(outside & inner)
    if not len(candidates):
        candidates = np.flatnonzero(outside)
    if len(candidates):
        row, column = divmod(int(candidates[random.integers(len(candidates))]), width)
    else:
        row, column = tall // 2, wide // 2
    top = min(max(row - tall // 2, 0), height - tall)
    left = min(max(column - wide // 2, 0), width - wide)
    return left, top, left + wide, top + tall


def trimap(mask: Mask) -> Mask:
    """Where a mask at an eighth of the resolution would be wrong, and two pixels around."""
    height, width = mask.shape
    small = _resized(mask, (max(1, height // TRIMAP_SCALE), max(1, width // TRIMAP_SCALE)))
    differs = mask ^ _resized(small, (height, width))
    kernel = np.ones((3, 3), np.uint8)
    return cv2.dilate(differs.astype(np.uint8), kernel, iterations=2).astype(np.bool_)


def without_specks(labels: Labels, least: int = SPECK) -> Labels:
    """The labels with all parts of the object smaller than `least` pixels made background."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(
        (labels == 1).astype(np.uint8), connectivity=4
    )
    small = stats[:, cv2.CC_STAT_AREA] < least
    small[0] = False
    if count < 2 or not small.any():
        return labels
    return np.where(small[parts], 0, labels).astype(np.int8)


def into_view(points: Tensor, regions: Tensor, size: tuple[int, int]) -> Tensor:
    """Points [B, 2P, 3] of samples of a size (height, width) as seen in their views.

    `regions` [B, 4] are (left, top, right, bottom). Clicks outside a view keep their place outside;
    absent points stay absent, since no region begins left of or above its picture.
    """
    start, end = (edges.flip(1).to(points)[:, None] for edges in regions.chunk(2, dim=1))
    scale = points.new_tensor(size) / (end - start)
    return torch.cat([(points[..., :2] - start) * scale, points[..., 2:]], dim=2)


def _resized(mask: Mask, size: tuple[int, int]) -> Mask:
    """The mask at another (height, width): where the bilinear mean exceeds one half."""
    scaled = cv2.resize(mask.astype(np.uint8) * 255, size[::-1])
    return np.asarray(scaled > 128)


def _largest_part(mask: Mask) -> Mask:
    """The largest of the parts that touch by sides or corners; all of a tiny mask."""
    if np.count_nonzero(mask) < FEW:
        return mask
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return np.asarray(parts == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))


def _box(mask: Mask) -> tuple[int, int, int, int]:
    """(top, bottom, left, right), the last ones included; the whole picture for a tiny mask."""
    height, width = mask.shape
    if np.count_nonzero(mask) < FEW:
        return 0, height, 0, width
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])
