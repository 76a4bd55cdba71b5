"""Masks of their own for every instance, as run lengths, laid into as few layers as they need.

Polygons are drawn by pycocotools, whose pixels are COCO's own; several polygons of one instance
are one mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as pycocotools_mask

from backend.codecs import coco as run_lengths
from backend.errors import InvalidImage, InvalidRequest
from backend.training.data.source import BACKGROUND, IGNORE, Layer, Mask, ObjectRef

Rle = dict[str, Any]

WITHIN = 0.9
"""The share of an object that lies within another one that it is a part of."""

SMALLER = 0.8
"""A part has at most this share of the pixels of the whole: two outlines of one thing are none."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One annotated instance. `rle` is pycocotools' compressed form of its mask."""

    rle: Rle
    crowd: bool = False
    stuff: bool = False


def drawn(segmentation: Any, size: tuple[int, int], name: str) -> Rle | None:
    """COCO's `segmentation` (polygons, or run lengths) as compressed run lengths.

    `size` is (height, width). None where nothing of it has three corners. Raises `InvalidImage`,
    naming the annotation `name`, for anything else.
    """
    if isinstance(segmentation, dict):
        try:
            mask = run_lengths.decode(segmentation, size, field=name)
        except InvalidRequest as error:
            raise InvalidImage(error.message) from error
        columns = np.asfortranarray(mask.full.view(np.uint8))
        return dict(pycocotools_mask.encode(columns))
    polygons = _polygons(segmentation, size, name)
    if not polygons:
        return None
    pieces = pycocotools_mask.frPyObjects(polygons, *size)
    return dict(pycocotools_mask.merge(pieces))


def _polygons(segmentation: Any, size: tuple[int, int], name: str) -> list[list[float]]:
    """The polygons with at least three corners, no further outside than the picture is large."""
    try:
        polygons = [np.asarray(polygon, np.float64) for polygon in segmentation]
        flat = all(polygon.ndim == 1 and len(polygon) % 2 == 0 for polygon in polygons)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidImage(f"{name}: segmentation is no list of polygons ({error})") from error
    if not flat or not all(np.isfinite(polygon).all() for polygon in polygons):
        raise InvalidImage(
            f"{name}: segmentation needs polygons of x, y, x, y, ... in finite numbers, or run "
            "lengths"
        )
    height, width = size
    bound = np.array([width, height], np.float64)
    return [
        np.clip(polygon.reshape(-1, 2), -bound, 2 * bound).ravel().tolist()
        for polygon in polygons
        if len(polygon) >= 6
    ]


def decoded(rle: Rle) -> Mask:
    """bool HxW of compressed run lengths."""
    height, width = rle["size"]
    columns = np.zeros((width, height), np.bool_)
    columns.reshape(-1)[_pixels(rle)] = True
    return np.ascontiguousarray(columns.T)


def overlaps(first: Sequence[Rle], second: Sequence[Rle]) -> npt.NDArray[np.float64]:
    """float64 [first, second]: the IoU of each with each."""
    if not first or not second:
        return np.zeros((len(first), len(second)))
    plain = [False] * len(second)
    return np.asarray(pycocotools_mask.iou(list(first), list(second), plain), np.float64)


def shares_within(rles: Sequence[Rle]) -> npt.NDArray[np.float64]:
    """float64 [n, n]: the share of the first one's pixels that the second one has as well."""
    if not rles:
        return np.zeros((0, 0))
    crowds = [True] * len(rles)
    return np.asarray(pycocotools_mask.iou(list(rles), list(rles), crowds), np.float64)


def layered(
    instances: Sequence[Instance], size: tuple[int, int], *, hierarchy: bool = False
) -> tuple[tuple[Layer, ...], tuple[ObjectRef, ...]]:
    """The layers and objects of a picture of `size` (height, width).

    Objects that share a pixel get different layers; each keeps its whole mask. Crowds become
    IGNORE where no object is. With `hierarchy` an object is the child of the smallest one that
    holds at least WITHIN of it. Instances without a pixel are left out.
    """
    things = [one for one in instances if not one.crowd]
    areas = np.array([pycocotools_mask.area(one.rle) for one in things], np.int64)
    things = [one for one, area in zip(things, areas, strict=True) if area]
    within = shares_within([one.rle for one in things])
    places = _places(within > 0)
    columns = np.full((max(places, default=0) + 1, size[1], size[0]), BACKGROUND, np.int32)
    objects = []
    for number, (one, place) in enumerate(zip(things, places, strict=True)):
        columns[place].reshape(-1)[_pixels(one.rle)] = number + 1
        objects.append(ObjectRef(place, number + 1, one.stuff))
    layers = [np.asarray(cv2.transpose(layer), np.int32) for layer in columns]
    crowds = [one.rle for one in instances if one.crowd]
    if crowds:
        _ignore(layers, decoded(pycocotools_mask.merge(crowds)))
    if hierarchy:
        objects = _related(objects, within, areas[areas > 0])
    return tuple(layers), tuple(objects)


def _pixels(rle: Rle) -> npt.NDArray[np.int64]:
    """The mask's positions in a picture that lies flat, column after column.

    Only these are touched: most objects are small, and a picture may have a hundred.
    """
    counts = run_lengths.decompressed(np.frombuffer(rle["counts"], np.uint8))
    starts, lengths = np.cumsum(counts)[0::2][: len(counts) // 2], counts[1::2]
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())


def _places(overlapping: npt.NDArray[np.bool_]) -> list[int]:
    """The lowest layer of each in which nothing before it overlaps with it."""
    places: list[int] = []
    for number in range(len(overlapping)):
        taken = {places[other] for other in np.flatnonzero(overlapping[number, :number]).tolist()}
        places.append(next(place for place in range(len(taken) + 1) if place not in taken))
    return places


def _ignore(layers: Sequence[Layer], crowd: Mask) -> None:
    """Mark the crowd in the first layer, but no pixel of any object."""
    for layer in layers:
        crowd = crowd & (layer == BACKGROUND)
    layers[0][crowd] = IGNORE


def _related(
    objects: Sequence[ObjectRef], within: npt.NDArray[np.float64], areas: npt.NDArray[np.int64]
) -> list[ObjectRef]:
    """The objects with their parents and children. Stuff is outside of every hierarchy."""
    parents: list[int | None] = []
    for number, object_ in enumerate(objects):
        holders = (within[number] >= WITHIN) & (areas[number] <= SMALLER * areas)
        wholes = [
            whole
            for whole in np.flatnonzero(holders).tolist()
            if whole != number and not objects[whole].stuff and not object_.stuff
        ]
        parents.append(min(wholes, key=lambda whole: (areas[whole], whole), default=None))
    return [
        ObjectRef(
            object_.layer,
            object_.id,
            object_.stuff,
            parents[number],
            tuple(child for child, parent in enumerate(parents) if parent == number),
        )
        for number, object_ in enumerate(objects)
    ]
