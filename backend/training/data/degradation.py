"""Augmentations that take detail away: blur, compression, noise, few pixels, holes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from backend.training.data.augmentation import Augmented, Layers
from backend.training.data.source import IGNORE, Image

NORMAL_QUANTILES = ndtri((np.arange(256) + 0.5) / 256).astype(np.float32)
"""A byte drawn uniformly becomes a normal number through this table, at a tenth of the cost."""


@dataclass(frozen=True)
class GaussianBlur:
    """With probability `p` out of focus, the deviation in pixels uniform in `sigma`."""

    sigma: tuple[float, float] = (0.4, 2.0)
    p: float = 0.1

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """See `Augmentation`."""
        if rng.random() >= self.p:
            return image, layers
        sigma = rng.uniform(*self.sigma)
        return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8), layers


@dataclass(frozen=True)
class MotionBlur:
    """With probability `p` moved while taken: averaged along a line of `length` pixels.

    Length uniform, direction of any angle, centred: edges stay where they are on average.
    """

    length: tuple[float, float] = (3.0, 9.0)
    p: float = 0.05

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """See `Augmentation`."""
        if rng.random() >= self.p:
            return image, layers
        length = rng.uniform(*self.length)
        angle = rng.uniform(0, math.pi)
        return np.asarray(cv2.filter2D(image, -1, _line(length, angle)), np.uint8), layers


def _line(length: float, angle: float) -> npt.NDArray[np.float32]:
    """A square kernel of sum 1 with a line through its middle."""
    reach = math.ceil(length / 2)
    steps = np.linspace(-length / 2, length / 2, 4 * reach + 1)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    rows = np.rint(reach + steps * math.sin(angle)).astype(int)
    columns = np.rint(reach + steps * math.cos(angle)).astype(int)
    np.add.at(kernel, (rows, columns), 1)
    return np.asarray(kernel / kernel.sum(), np.float32)


@dataclass(frozen=True)
class Jpeg:
    """With probability `p` compressed, the quality uniform in `quality`."""

    quality: tuple[int, int] = (35, 90)
    p: float = 0.2

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """See `Augmentation`."""
        if rng.random() >= self.p:
            return image, layers
        low, high = self.quality
        quality = int(rng.integers(low, high + 1))
        blue_first = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8), layers


@dataclass(frozen=True)
class Noise:
    """With probability `p` normal noise on every value, its deviation uniform in `sigma`."""

    sigma: tuple[float, float] = (2.0, 12.0)
    p: float = 0.1

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """See `Augmentation`."""
        if rng.random() >= self.p:
            return image, layers
        table = np.rint(NORMAL_QUANTILES * np.float32(rng.uniform(*self.sigma))).astype(np.int16)
        drawn = np.frombuffer(rng.bytes(image.size), np.uint8).reshape(image.shape)
        noise = table[drawn]
        return np.clip(image + noise, 0, 255).astype(np.uint8), layers


@dataclass(frozen=True)
class FewerPixels:
    """With probability `p` reduced by a factor uniform in `factor` and enlarged again."""

    factor: tuple[float, float] = (1.5, 3.0)
    p: float = 0.1

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """See `Augmentation`."""
        if rng.random() >= self.p:
            return image, layers
        height, width = image.shape[:2]
        factor = rng.uniform(*self.factor)
        size = (max(1, round(width / factor)), max(1, round(height / factor)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (width, height)), np.uint8), layers


@dataclass(frozen=True)
class CutOut:
    """With probability `p` one to `most` rectangles of one colour each.

    Their sides are uniform in `side`, as shares of the picture's. `value` is what the layers hold
    there: nobody can tell where an edge runs below, so it is to be ignored unless said otherwise.
    """

    most: int = 3
    side: tuple[float, float] = (0.05, 0.25)
    value: int = IGNORE
    p: float = 0.1

    def __call__(self, image: Image, layers: Layers, rng: np.random.Generator) -> Augmented:
        """See `Augmentation`."""
        if rng.random() >= self.p:
            return image, layers
        image, layers = image.copy(), tuple(layer.copy() for layer in layers)
        size = np.array(image.shape[:2])
        for _ in range(int(rng.integers(1, self.most + 1))):
            height, width = np.maximum(1, size * rng.uniform(*self.side, 2)).astype(int).tolist()
            top, left = rng.integers(np.maximum(size - (height, width), 0) + 1).tolist()
            hole = (slice(top, top + height), slice(left, left + width))
            image[hole] = rng.integers(0, 256, 3)
            for layer in layers:
                layer[hole] = self.value
        return image, layers
