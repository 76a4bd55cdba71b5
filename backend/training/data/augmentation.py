"""Augmentations: what they are, and those that move pixels.

An augmentation is a frozen dataclass of its settings, called with an image, its layers and a
generator. Image and layers are moved together: the layers with the nearest value, so ids stay ids.
None of them changes the arrays that it is given. Random numbers come from the generator alone.

Names and ranges are those of albumentations 0.5 where the systems' recipes were written with it:
the same distributions, drawn from other generators.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import cv2
import numpy as np
from scipy.special import ndtr, ndtri

from backend.training.data.source import BACKGROUND, Image, Layer

QUARTERS = (cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE)

Layers = tuple[Layer, ...]
Augmented = tuple[Image, Layers]


class Augmentation(Protocol):
    """One step of augmentation."""

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """Image uint8 HxWx3 and int32 HxW layers, moved or recoloured, of one size again."""
        ...


def augment(
    steps: Iterable[Augmentation], image: Image, layers: Layers, rng: np.random.Generator
) -> Augmented:
    """All steps one after the other; the results are contiguous."""
    for step in steps:
        image, layers = step(image, layers, rng)
    return np.ascontiguousarray(image), tuple(np.ascontiguousarray(layer) for layer in layers)


def resized(image: Image, layers: Layers, height: int, width: int) -> Augmented:
    """Both at height x width: the image bilinear, the layers nearest.

    OpenCV's plain nearest value is the one towards the upper left: it moves masks by half a pixel
    against the image. The exact one does not.
    """
    size = (width, height)
    return (
        np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8),
        tuple(
            np.asarray(cv2.resize(layer, size, interpolation=cv2.INTER_NEAREST_EXACT), np.int32)
            for layer in layers
        ),
    )


@dataclass(frozen=True)
class RandomResize:
    """Scale both sides by one factor, uniform in `scale`."""

    scale: tuple[float, float] = (0.75, 1.40)

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """See `Augmentation`."""
        factor = rng.uniform(*self.scale)
        height, width = (max(1, round(side * factor)) for side in image.shape[:2])
        return resized(image, layers, height, width)


@dataclass(frozen=True)
class Resize:
    """Stretch to `height` x `width`; the aspect ratio is not kept."""

    height: int
    width: int

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """See `Augmentation`."""
        return resized(image, layers, self.height, self.width)


@dataclass(frozen=True)
class ShortSide:
    """Scale both sides by one factor, so that the short one becomes `side`."""

    side: int

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """See `Augmentation`."""
        factor = self.side / min(image.shape[:2])
        height, width = (max(1, round(side * factor)) for side in image.shape[:2])
        return resized(image, layers, height, width)


@dataclass(frozen=True)
class Pad:
    """Black around the picture, as much on either side, up to `height` x `width`.

    The layers get `value` there: the systems' recipes teach it as background.
    """

    height: int
    width: int
    value: int = BACKGROUND

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """See `Augmentation`."""
        rows, columns = image.shape[:2]
        return padded(image, layers, max(self.height, rows), max(self.width, columns), self.value)


def padded(image: Image, layers: Layers, height: int, width: int, value: int) -> Augmented:
    """Centred in `height` x `width`, no smaller than the image."""
    extra_rows, extra_columns = height - image.shape[0], width - image.shape[1]
    if not extra_rows and not extra_columns:
        return image, layers
    top, left = extra_rows // 2, extra_columns // 2
    edges = (top, extra_rows - top, left, extra_columns - left)
    constant = cv2.BORDER_CONSTANT
    return (
        np.asarray(cv2.copyMakeBorder(image, *edges, constant, value=(0, 0, 0)), np.uint8),
        tuple(
            np.asarray(cv2.copyMakeBorder(layer, *edges, constant, value=value), np.int32)
            for layer in layers
        ),
    )


@dataclass(frozen=True)
class RandomCrop:
    """A piece of `height` x `width`, every place alike; a smaller picture stays as it is."""

    height: int
    width: int

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """See `Augmentation`."""
        top = int(rng.integers(max(0, image.shape[0] - self.height) + 1))
        left = int(rng.integers(max(0, image.shape[1] - self.width) + 1))
        rows, columns = slice(top, top + self.height), slice(left, left + self.width)
        return image[rows, columns], tuple(layer[rows, columns] for layer in layers)


@dataclass(frozen=True)
class Flip:
    """Mirror with probability `p`; `any` draws left to right, upside down or both alike."""

    direction: Literal["horizontal", "vertical", "any"] = "horizontal"
    p: float = 0.5

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """See `Augmentation`."""
        if rng.random() >= self.p:
            return image, layers
        direction: str = self.direction
        if direction == "any":
            direction = ("horizontal", "vertical", "both")[rng.integers(3)]
        axes = {"horizontal": 1, "vertical": 0, "both": -1}[direction]
        # OpenCV's copies are ten times as fast as NumPy's of a view that runs backwards.
        mirrored = tuple(np.asarray(cv2.flip(layer, axes), np.int32) for layer in layers)
        return np.asarray(cv2.flip(image, axes), np.uint8), mirrored


@dataclass(frozen=True)
class Rotate90:
    """With probability `p` turn by none to three quarters, each alike."""

    p: float = 0.5

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """See `Augmentation`."""
        if rng.random() >= self.p:
            return image, layers
        quarters = int(rng.integers(4))
        if quarters == 0:
            return image, layers
        turn = QUARTERS[quarters - 1]
        turned = tuple(np.asarray(cv2.rotate(layer, turn), np.int32) for layer in layers)
        return np.asarray(cv2.rotate(image, turn), np.uint8), turned


@dataclass(frozen=True)
class ShiftScaleRotate:
    """Shift by up to `shift` of the sides, scale by 1 +- `scale`, turn by +- `degrees`.

    About the middle, with probability `p`; black and background come in from outside.
    """

    shift: float = 0.03
    scale: float = 0.0
    degrees: float = 3.0
    p: float = 0.75

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """See `Augmentation`."""
        if rng.random() >= self.p:
            return image, layers
        height, width = image.shape[:2]
        angle = rng.uniform(-self.degrees, self.degrees)
        scale = 1 + rng.uniform(-self.scale, self.scale)
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale)
        shift = rng.uniform(-self.shift, self.shift, 2) * np.array([width, height])
        matrix = np.column_stack([matrix[:, :2], matrix[:, 2] + shift])
        size = (width, height)
        return (
            np.asarray(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR), np.uint8),
            # Floats hold the ids exactly, and every OpenCV warps them.
            tuple(
                np.asarray(
                    cv2.warpAffine(layer.astype(np.float32), matrix, size, flags=cv2.INTER_NEAREST),
                    np.int32,
                )
                for layer in layers
            ),
        )


@dataclass(frozen=True)
class AlignedCrop:
    """FocalClick's crop (Chen et al., CVPR 2022): a piece of any shape, stretched to a square.

    The piece has a share of either side, drawn apart from normal distributions of `mean` and
    `deviation` within `shares`; beyond 1 black is put around the picture. Then it becomes
    `size` x `size`. With `faithful` two habits of the authors' code are kept: the piece always
    reaches to the right border of the picture, and layers are resized bilinearly, which gives ids
    between ids at edges.
    """

    size: int = 256
    mean: float = 0.8
    deviation: float = 0.4
    shares: tuple[float, float] = (0.3, 1.3)
    faithful: bool = False

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """See `Augmentation`."""
        height, width = (
            max(1, int(side * share))
            for side, share in zip(image.shape[:2], self._shares(rng), strict=True)
        )
        rows, columns = max(height, image.shape[0]), max(width, image.shape[1])
        image, layers = padded(image, layers, rows, columns, BACKGROUND)
        top, left = int(rng.integers(rows - height + 1)), int(rng.integers(columns - width + 1))
        vertical = slice(top, top + height)
        horizontal = slice(left, None if self.faithful else left + width)
        image, layers = (
            image[vertical, horizontal],
            tuple(layer[vertical, horizontal] for layer in layers),
        )
        stretched, nearest = resized(image, layers, self.size, self.size)
        if not self.faithful:
            return stretched, nearest
        size = (self.size, self.size)
        return stretched, tuple(
            np.asarray(cv2.resize(layer.astype(np.float32), size), np.int32) for layer in layers
        )

    def _shares(self, rng: np.random.Generator) -> tuple[float, float]:
        """Shares of height and width, from the truncated normal distribution."""
        low, high = ndtr((np.array(self.shares) - self.mean) / self.deviation)
        drawn = self.mean + self.deviation * ndtri(rng.uniform(low, high, 2))
        return float(drawn[0]), float(drawn[1])
