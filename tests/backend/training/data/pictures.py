"""Small training data, made in the tests: pictures whose colours say which object a pixel is of."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from backend.training.data.source import (
    IGNORE,
    Annotated,
    Kind,
    Layer,
    Mask,
    ObjectRef,
    Record,
    Source,
)

PALETTE = np.array(
    [[40, 40, 40], [220, 60, 60], [60, 220, 60], [60, 60, 220], [220, 220, 60], [60, 220, 220]],
    np.uint8,
)


def scene(height: int = 120, width: int = 160, objects: int = 4, seed: int = 0) -> Annotated:
    """Discs of one colour each, one id each, that do not touch each other."""
    rng = np.random.default_rng(seed)
    layer = np.zeros((height, width), np.int32)
    cell = width // objects
    for number in range(objects):
        radius = min(cell, height) // 2 - 4
        row = int(rng.integers(radius + 2, height - radius - 2))
        cv2.circle(layer, (cell * number + cell // 2, row), radius, number + 1, -1)
    return annotated(layer)


def annotated(*layers: Layer, kind: Kind = Kind.INSTANCES) -> Annotated:
    """Every id of every layer is an object; the first layer colours the picture."""
    objects = tuple(
        ObjectRef(number, int(id_))
        for number, layer in enumerate(layers)
        for id_ in np.unique(layer)
        if id_ > 0
    )
    image = PALETTE[np.clip(layers[0], 0, len(PALETTE) - 1)]
    return Annotated(image, layers, objects, kind, "scene", "1")


def layer_of(size: tuple[int, int], *boxes: tuple[int, int, int, int]) -> Layer:
    """Rectangles (top, left, bottom, right) with the ids 1, 2, ...; later ones on top."""
    layer = np.zeros(size, np.int32)
    for number, (top, left, bottom, right) in enumerate(boxes):
        layer[top:bottom, left:right] = number + 1
    return layer


def away_from_edges(layer: Layer, margin: int = 2) -> Mask:
    """Pixels whose neighbours within `margin` all have the same id."""
    kernel = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    values = layer.astype(np.int16)
    return cv2.erode(values, kernel) == cv2.dilate(values, kernel)


class Listed(Source):
    """Pictures kept in a list."""

    def __init__(self, pictures: Sequence[Annotated]) -> None:
        self.pictures = tuple(pictures)

    def __len__(self) -> int:
        return len(self.pictures)

    def record(self, index: int) -> Record:
        picture = self.pictures[index]
        return Record(picture.key, picture.source, picture.kind, max(1, len(picture.objects)))

    def load(self, index: int) -> Annotated:
        return self.pictures[index]

    def fingerprint(self) -> str:
        return str(len(self.pictures))


def png(ids: np.ndarray) -> bytes:
    """An index mask; -1 becomes the highest value of its depth."""
    dtype = np.uint8 if ids.max() < 255 else np.uint16
    stored = np.where(ids == IGNORE, np.iinfo(dtype).max, ids).astype(dtype)
    return cv2.imencode(".png", stored)[1].tobytes()


def jpeg(image: np.ndarray) -> bytes:
    settings = [cv2.IMWRITE_JPEG_QUALITY, 95]
    return cv2.imencode(".jpg", image[..., ::-1], settings)[1].tobytes()


def write_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def members_of(
    key: str, picture: Annotated, description: Mapping[str, Any] | None = None
) -> dict[str, bytes]:
    """A sample's members, with a description unless it is None."""
    members = {f"{key}.jpg": jpeg(picture.image), f"{key}.png": png(picture.layers[0])}
    if description is not None:
        members[f"{key}.json"] = json.dumps(description).encode()
    return members


def write_shard(path: Path, count: int = 3, source: str = "discs") -> Path:
    """A shard of scenes `a0`, `a1`, ..., numbered by their seeds."""
    members: dict[str, bytes] = {}
    for seed in range(count):
        description = {"source": source, "kind": "instances", "objects": 4}
        members |= members_of(f"a{seed}", scene(seed=seed), description)
    return write_tar(path, members)


def write_folders(root: Path, pictures: Mapping[str, Annotated], names: tuple[str, str]) -> Path:
    for key, picture in pictures.items():
        for folder, suffix, data in (
            (names[0], "jpg", jpeg(picture.image)),
            (names[1], "png", png(picture.layers[0])),
        ):
            path = root / folder / f"{key}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return root
