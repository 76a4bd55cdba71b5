"""Two photographs with objects to learn from, or a drawn scene where there are none."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from backend.training.data.augmentation import Augmentation, Resize
from backend.training.data.opening import open_sources
from backend.training.data.sample import SampleSettings
from backend.training.data.source import Annotated, Kind, ObjectRef, Record, Source
from tests import scene
from tests.conftest import SHARED

SHARD = SHARED / "data" / "train_objects" / "train_objects-000.tar"
PHOTOGRAPHS = (0, 1)
SIDE = 160


class Pictures(Source):
    """Pictures that lie in memory."""

    def __init__(self, pictures: Sequence[Annotated]) -> None:
        self.pictures = tuple(pictures)

    def __len__(self) -> int:
        return len(self.pictures)

    def record(self, index: int) -> Record:
        picture = self.pictures[index]
        return Record(picture.key, picture.source, picture.kind, len(picture.objects))

    def load(self, index: int) -> Annotated:
        return self.pictures[index]

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for picture in self.pictures:
            digest.update(picture.image.tobytes())
        return digest.hexdigest()


def two_pictures() -> Pictures:
    """Two pictures with one object each, their long sides `SIDE`: photographs where there are."""
    if SHARD.is_file():
        shard = open_sources([SHARD])
        return Pictures([_with_largest(shard.load(index)) for index in PHOTOGRAPHS])
    image, orange = scene.draw()
    mirrored = np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(orange[:, ::-1])
    pairs = ((image, orange), mirrored)
    return Pictures(
        [
            _small(
                Annotated(
                    picture,
                    (mask.astype(np.int32),),
                    (ObjectRef(0, 1),),
                    Kind.INSTANCES,
                    "scene",
                    str(index),
                )
            )
            for index, (picture, mask) in enumerate(pairs)
        ]
    )


def small_samples(
    settings: SampleSettings, height: int, width: int, *more: Augmentation
) -> SampleSettings:
    """The settings for whole pictures at a small size, with small objects kept."""
    return replace(
        settings,
        augmentations=(Resize(height, width), *more),
        objects=replace(settings.objects, smallest=50),
    )


def _with_largest(picture: Annotated) -> Annotated:
    largest = int(np.argmax(picture.areas()))
    mask = picture.mask(largest)
    return _small(replace(picture, layers=(mask.astype(np.int32),), objects=(ObjectRef(0, 1),)))


def _small(picture: Annotated) -> Annotated:
    scale = SIDE / max(picture.size)
    size = (round(picture.size[1] * scale), round(picture.size[0] * scale))
    image = cv2.resize(picture.image, size, interpolation=cv2.INTER_AREA)
    layers = tuple(
        cv2.resize(layer, size, interpolation=cv2.INTER_NEAREST) for layer in picture.layers
    )
    return replace(picture, image=np.asarray(image, np.uint8), layers=layers)
