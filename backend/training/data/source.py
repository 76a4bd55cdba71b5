"""Training pictures with their objects: what every reader gives and everything else takes.

A picture's objects lie in one or several index masks (`layers`): objects that overlap lie in
different layers, and an object is named by its layer and its id there. So parts on a whole (LVIS),
overlapping instances (COCO) and flat index masks all have one form.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Layer = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

BACKGROUND = 0
IGNORE = -1
"""The values of a layer that are no object: nothing known there, and do not learn from this."""


BYTE = 256
"""Values of a byte; IGNORE is the last of them there."""


class Kind(StrEnum):
    """What the masks of a picture are."""

    INSTANCES = "instances"
    """Every object of the labelled classes apart; unlabelled things may lie in the background."""

    SALIENT = "salient"
    """One foreground mask."""

    PARTS = "parts"
    """Parts of one thing: unions of them are objects too."""

    REGIONS = "regions"
    """Class regions cut into connected pieces; the background may hold more of them."""


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """One object: the pixels where `layers[layer] == id`; `id` is at least 1.

    `stuff` marks what is no thing (sky, road). `parent` and `children` are positions in the
    picture's list of objects: a button is a child of the shirt that it lies on.
    """

    layer: int
    id: int
    stuff: bool = False
    parent: int | None = None
    children: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a picture without decoding it.

    `key` names it within its source, `source` is the name of the set that it came from, and
    `objects` is how many objects its annotation lists: at least 1 where nothing is listed.
    """

    key: str
    source: str
    kind: Kind
    objects: int

    @property
    def name(self) -> str:
        """The set's name and the picture's key: SOURCE/KEY."""
        return f"{self.source}/{self.key}"


@dataclass(frozen=True, slots=True, eq=False)
class Annotated:
    """A picture and its objects.

    `image` is uint8 HxWx3 RGB; `layers` are int32 HxW of ids, BACKGROUND and IGNORE.
    """

    image: Image
    layers: tuple[Layer, ...]
    objects: tuple[ObjectRef, ...]
    kind: Kind
    source: str
    key: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]

    def mask(self, index: int) -> Mask:
        """bool HxW: the pixels of object `index` (its position in `objects`)."""
        object_ = self.objects[index]
        return np.equal(self.layers[object_.layer], object_.id)

    def union(self, indices: Sequence[int]) -> Mask:
        """bool HxW: the pixels of any of these objects."""
        found = np.zeros(self.size, np.bool_)
        for index in indices:
            found |= self.mask(index)
        return found

    def ignored(self) -> Mask:
        """bool HxW: pixels that are to be ignored and belong to no object of any layer."""
        ignored = np.zeros(self.size, np.bool_)
        for layer in self.layers:
            ignored |= layer == IGNORE
        for layer in self.layers:
            ignored &= layer <= BACKGROUND
        return ignored

    def background(self) -> Mask:
        """bool HxW: pixels of no object that are not to be ignored either."""
        background = np.ones(self.size, np.bool_)
        for layer in self.layers:
            background &= layer == BACKGROUND
        return background

    def areas(self) -> npt.NDArray[np.int64]:
        """int64 [objects]: the pixels of each object."""
        counts = [pixels_of_ids(layer) for layer in self.layers]
        return np.array(
            [
                counts[object_.layer][object_.id] if object_.id < len(counts[object_.layer]) else 0
                for object_ in self.objects
            ],
            np.int64,
        )


def pixels_of_ids(layer: Layer) -> npt.NDArray[np.int64]:
    """int64: how many pixels each id from 0 up to the highest, or beyond, has.

    OpenCV's histogram of bytes is ten times as fast as NumPy's of integers, and this is asked of
    every picture more than once.
    """
    if layer.max(initial=0) < BYTE - 1:
        grey = layer.astype(np.uint8)
        counts = cv2.calcHist([grey], [0], None, [BYTE - 1], [0, BYTE - 1])
        return np.asarray(counts.ravel(), np.int64)
    return np.bincount(np.maximum(layer, BACKGROUND).ravel()).astype(np.int64)


class Source(ABC):
    """Annotated pictures by index, 0 to `len(source) - 1`.

    A source is read-only, may be pickled to another process and used by many at once; `load` is a
    pure function of the index.
    """

    @abstractmethod
    def __len__(self) -> int:
        """How many pictures there are."""

    @abstractmethod
    def record(self, index: int) -> Record:
        """What is known of a picture without decoding it. Raises IndexError."""

    @abstractmethod
    def load(self, index: int) -> Annotated:
        """The picture. Raises IndexError, and `InvalidImage` for one that cannot be read."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Hex sha256 of the names and sizes of all files: the same for the same data."""

    def draw(self, rng: np.random.Generator) -> int:
        """The index of a random picture; every one is as likely as another."""
        return int(rng.integers(len(self)))
