"""Augmentations of colour. The layers stay as they are.

All but the change of hue are tables of 256 values, one for all channels or one for each.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from backend.training.data.augmentation import Augmented, Layers
from backend.training.data.source import Image

LEVELS = np.arange(256, dtype=np.float32)


def through_table(image: Image, table: npt.NDArray[np.floating]) -> Image:
    """Every value replaced by the table's, cut off to 0..255 and to a whole number.

    `table` is [256] for all channels, or [256, 3] for each its own.
    """
    values = np.clip(table, 0, 255).astype(np.uint8)
    if values.ndim == 2:
        values = values[None]
    return np.asarray(cv2.LUT(image, values), np.uint8)


@dataclass(frozen=True)
class BrightnessContrast:
    """With probability `p` scale by 1 + `contrast`, then add `brightness` of the full range.

    albumentations' RandomBrightnessContrast with `brightness_by_max`, both drawn uniformly.
    """

    brightness: tuple[float, float] = (-0.25, 0.25)
    contrast: tuple[float, float] = (-0.15, 0.40)
    p: float = 0.75

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """See `Augmentation`."""
        if rng.random() >= self.p:
            return image, layers
        factor = np.float32(1 + rng.uniform(*self.contrast))
        offset = np.float32(255 * rng.uniform(*self.brightness))
        return through_table(image, LEVELS * factor + offset), layers


@dataclass(frozen=True)
class ShiftRgb:
    """With probability `p` add to each channel a number of its own, uniform within +- `limit`."""

    limit: float = 10.0
    p: float = 0.75

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """See `Augmentation`."""
        if rng.random() >= self.p:
            return image, layers
        shift = rng.uniform(-self.limit, self.limit, 3).astype(np.float32)
        return through_table(image, LEVELS[:, None] + shift), layers


@dataclass(frozen=True)
class ColourCast:
    """With probability `p` the light of another lamp: each channel times its own factor.

    The factors are exp(u) with u uniform within +- `strength`; a common exponent exp(v) with v
    uniform within +- `gamma` comes on top.
    """

    strength: float = 0.25
    gamma: float = 0.35
    p: float = 0.3

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """See `Augmentation`."""
        if rng.random() >= self.p:
            return image, layers
        factors = np.exp(rng.uniform(-self.strength, self.strength, 3)).astype(np.float32)
        gamma = np.float32(np.exp(rng.uniform(-self.gamma, self.gamma)))
        curve = 255 * (LEVELS / 255) ** gamma
        return through_table(image, curve[:, None] * factors), layers


@dataclass(frozen=True)
class HueSaturation:
    """With probability `p` turn the hue by up to `hue` degrees and scale the saturation.

    The factor of saturation is uniform in `saturation`.
    """

    hue: float = 15.0
    saturation: tuple[float, float] = (0.6, 1.4)
    p: float = 0.5

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """See `Augmentation`."""
        if rng.random() >= self.p:
            return image, layers
        turn = round(rng.uniform(-self.hue, self.hue) / 2)
        hue = (LEVELS + turn) % 180
        saturation = LEVELS * np.float32(rng.uniform(*self.saturation))
        table = np.stack([hue, saturation, LEVELS], axis=1)
        hsv = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), np.uint8)
        return (
            np.asarray(cv2.cvtColor(through_table(hsv, table), cv2.COLOR_HSV2RGB), np.uint8),
            layers,
        )


@dataclass(frozen=True)
class Greyscale:
    """With probability `p` without colour, the three channels alike."""

    p: float = 0.05

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """See `Augmentation`."""
        if rng.random() >= self.p:
            return image, layers
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8), layers
