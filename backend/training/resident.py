"""Pictures that stay on the training device, and the objects on them.

A few thousand pictures of a few hundred pixels fit into the memory of a GPU many times over, and
then a batch costs no decoding and no copying: cutting, turning and mixing are tensor operations
(`backend.training.crops`). The same code runs on a CPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backend.training.data.source import Annotated

IGNORE = 255
"""The index that no loss looks at; what lies around a picture has it too."""

RIM = 1
"""Pixels of the square around its picture at the least, so that its border is always unknown."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Objects:
    """A table of objects, one row each: int64 columns of equal length.

    `picture` is the row of the picture, `index` the object's index in its mask; the box is
    half-open in pixels; `area` counts pixels.
    """

    picture: Rows
    index: Rows
    left: Rows
    top: Rows
    right: Rows
    bottom: Rows
    area: Rows

    def __len__(self) -> int:
        return len(self.picture)


@dataclass(frozen=True)
class ResidentPictures:
    """`images` uint8 [N, 3, S, S] RGB, each `RIM` pixels from the upper left corner of a
    square whose rest is unknown.

    `masks` uint8 [N, S, S] are index masks. `sizes` int64 [N, 2] are the pictures' own (height,
    width); `kinds` and `sources` their descriptions; `others` lists the objects on each picture.
    """

    images: Tensor
    masks: Tensor
    sizes: Rows
    kinds: tuple[str, ...]
    sources: tuple[str, ...]
    objects: Objects
    on_picture: tuple[Rows, ...] = field(repr=False)

    @classmethod
    def of(
        cls,
        pictures: Iterable[Annotated],
        count: int,
        longest: int,
        device: torch.device | str = "cpu",
    ) -> ResidentPictures:
        """Keep `count` pictures, reduced to a long side of `longest` - 2 `RIM` where it is longer.

        Of overlapping objects the smaller one keeps its pixels. Raises ValueError where not one of
        them has an object.
        """
        images = torch.zeros(count, 3, longest, longest, dtype=torch.uint8)
        masks = torch.full((count, longest, longest), IGNORE, dtype=torch.uint8)
        rows: list[tuple[int, ...]] = []
        sizes, kinds, sources = [], [], []
        for row, picture in enumerate(pictures):
            image, mask = _reduced(picture, longest - 2 * RIM)
            height, width = mask.shape
            inside = (slice(RIM, RIM + height), slice(RIM, RIM + width))
            images[(row, slice(None), *inside)] = torch.from_numpy(image).permute(2, 0, 1)
            masks[(row, *inside)] = torch.from_numpy(mask)
            rows.extend((row, *found) for found in _objects(mask))
            sizes.append(mask.shape)
            kinds.append(str(picture.kind))
            sources.append(picture.source)
        if not rows:
            raise ValueError("not one of the training pictures has an object")
        columns = np.array(rows, np.int64).T
        first = np.searchsorted(columns[0], np.arange(count + 1))
        return cls(
            images.to(device),
            masks.to(device),
            np.array(sizes, np.int64),
            tuple(kinds),
            tuple(sources),
            Objects(*columns),
            tuple(np.arange(a, b) for a, b in pairwise(first)),
        )


def _reduced(
    picture: Annotated, longest: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Image and index mask as uint8, no side longer than `longest`."""
    mask = _flat(picture)
    image = picture.image
    scale = longest / max(mask.shape)
    if scale < 1:
        size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
    return image, mask


def _flat(picture: Annotated) -> npt.NDArray[np.uint8]:
    """One index mask of all objects; beyond the 254 largest they are unknown ground."""
    areas = picture.areas()
    mask = np.where(picture.ignored(), IGNORE, 0).astype(np.uint8)
    for place, index in enumerate(np.argsort(-areas, kind="stable")):
        mask[picture.mask(int(index))] = min(place + 1, IGNORE)
    return mask


def _objects(mask: npt.NDArray[np.uint8]) -> Iterator[tuple[int, ...]]:
    """(index, left, top, right, bottom, area) of every object of an index mask."""
    for index in np.unique(mask):
        if index in (0, IGNORE):
            continue
        own = (mask == index).view(np.uint8)
        left, top, width, height = cv2.boundingRect(own)
        yield int(index), left, top, left + width, top + height, int(np.count_nonzero(own))


@dataclass(frozen=True)
class Mixture:
    """How often an object is drawn.

    A source weighs the square root of its number of objects times the weight of its kind, so that
    1,500 grains of one source do not drown a hundred animals; inside a source objects weigh the
    square root of their area, within `area_range` of the picture's.
    """

    kinds: Mapping[str, float]
    sources: Mapping[str, float] = field(default_factory=dict)
    area_power: float = 0.25

    def weights(self, pictures: ResidentPictures) -> npt.NDArray[np.float64]:
        """The probability of each object; float64, sum 1."""
        objects = pictures.objects
        sources = np.array(pictures.sources)[objects.picture]
        kinds = np.array(pictures.kinds)[objects.picture]
        weights = objects.area.astype(np.float64) ** self.area_power
        for source in np.unique(sources):
            own = sources == source
            kind = np.mean([self.kinds.get(name, 1.0) for name in kinds[own]])
            share = np.sqrt(own.sum()) * kind * self.sources.get(str(source), 1.0)
            weights[own] *= share / weights[own].sum()
        return np.asarray(weights / weights.sum(), np.float64)
