"""Pictures that training and evaluation must not share, found by their looks.

A 64-bit difference hash says in which places a picture gets darker to the right on a grid of 8 x 8.
It survives scaling, compression and small changes of colour; two pictures with few different bits
are most probably one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from backend.evaluation.datasets import DataSet
from backend.evaluation.layouts import open_dataset
from backend.training.data.combined import Subset
from backend.training.data.source import Image, Source

Hashes = npt.NDArray[np.uint64]

SIDE = 8
NEAR = 8
"""Bits that may differ between two copies of one picture."""


@dataclass(frozen=True, slots=True)
class Near:
    """A training picture, by its index and name, that looks like the picture `other`.

    `bits` is the number of bits in which their hashes differ.
    """

    index: int
    name: str
    other: str
    bits: int


def difference_hash(image: Image) -> int:
    """The 64-bit difference hash of a uint8 HxWx3 RGB image, the upper left bit highest."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    grid = np.asarray(cv2.resize(grey, (SIDE + 1, SIDE), interpolation=cv2.INTER_AREA), np.int16)
    bits = grid[:, :-1] > grid[:, 1:]
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def hashes_of(images: Iterable[Image]) -> Hashes:
    """uint64 [images]: the hash of each."""
    return np.fromiter((difference_hash(image) for image in images), np.uint64)


def near_pictures(
    source: Source,
    others: Mapping[str, Image],
    *,
    bits: int = NEAR,
    looked_at: Callable[[], object] = lambda: None,
) -> tuple[Near, ...]:
    """The training pictures that look like one of `others` (by name) or like its mirror image.

    Each is named once, with the picture that it is nearest to; `bits` may differ. `looked_at` is
    called after each training picture.
    """
    if not others:
        return ()
    names = list(others) * 2
    upright = hashes_of(others.values())
    mirrored = hashes_of(np.asarray(cv2.flip(image, 1), np.uint8) for image in others.values())
    known = np.concatenate([upright, mirrored])
    found = []
    for index in range(len(source)):
        own = np.uint64(difference_hash(source.load(index).image))
        looked_at()
        distances = np.bitwise_count(known ^ own)
        nearest = int(distances.argmin())
        if distances[nearest] <= bits:
            name = source.record(index).name
            found.append(Near(index, name, names[nearest], int(distances[nearest])))
    return tuple(found)


def evaluation_pictures(folders: Sequence[Path]) -> dict[str, Image]:
    """Every picture of evaluation sets, by its path. Raises `InvalidRequest` and `InvalidImage`."""
    pictures: dict[str, Image] = {}
    for folder in folders:
        dataset: DataSet = open_dataset(folder)
        for sample in dataset.samples:
            if sample.picture not in pictures:
                pictures[sample.picture] = sample.read_image()
    return pictures


def excluding(
    source: Source, folders: Sequence[Path], *, bits: int = NEAR
) -> tuple[Source, tuple[Near, ...]]:
    """The source without pictures of the evaluation sets in `folders`, and what was left out."""
    found = near_pictures(source, evaluation_pictures(folders), bits=bits)
    if not found:
        return source, ()
    out = {near.index for near in found}
    return Subset(source, (index for index in range(len(source)) if index not in out)), found
