"""What cameras and files do to a picture, for whole batches on the training device."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Change = Callable[[Tensor, np.random.Generator], Tensor]


@dataclass(frozen=True)
class Photometric:
    """How far a sample may be changed, and with which probability.

    Brightness and contrast factors and gamma are drawn around 1, the colour cast as a gain per
    channel; `grey`, `blur`, `noise` and `jpeg` are probabilities.
    """

    chance: float = 0.8
    brightness: float = 0.25
    contrast: float = 0.3
    saturation: float = 0.4
    gamma: float = 0.3
    cast: float = 0.12
    grey: float = 0.05
    blur: float = 0.15
    noise: float = 0.1
    jpeg: float = 0.15

    def __call__(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Float32 [B, 3, H, W] in [0, 1] -> the same; H and W are multiples of 16."""
        count, device = len(images), images.device
        changed = torch.from_numpy(rng.random(count) < self.chance).to(device)
        out = torch.where(_each(changed), self._coloured(images, rng), images)
        out = _some(out, self.blur, rng, _blurred)
        out = _some(out, self.jpeg, rng, _compressed)
        if self.noise > 0:
            level = rng.uniform(0, 0.04, count) * (rng.random(count) < self.noise)
            seed = torch.Generator(device).manual_seed(int(rng.integers(1 << 62)))
            noise = torch.randn(out.shape, generator=seed, device=device)
            out = out + noise * _each(torch.from_numpy(level).float().to(device))
        return out.clamp(0, 1)

    def _coloured(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        count, device = len(images), images.device

        def factor(spread: float, channels: int = 1) -> Tensor:
            drawn = np.exp(rng.uniform(-spread, spread, (count, channels)))
            return torch.from_numpy(drawn).float().to(device).view(count, channels, 1, 1)

        colour = torch.from_numpy(rng.random(count) >= self.grey).to(device)
        grey = images.mul(images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1))
        grey = grey.sum(dim=1, keepdim=True)
        amount = factor(self.saturation) * _each(colour.float())
        out = torch.lerp(grey.expand_as(images), images, amount)
        mean = out.mean(dim=(2, 3), keepdim=True)
        out = mean + (out - mean) * factor(self.contrast)
        out = out * factor(self.brightness) * factor(self.cast, 3)
        gamma: Tensor = out.clamp(1e-4, 1) ** factor(self.gamma)
        return gamma


def _each(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def _some(images: Tensor, chance: float, rng: np.random.Generator, change: Change) -> Tensor:
    """The batch with some of its samples changed."""
    picked = np.flatnonzero(rng.random(len(images)) < chance)
    if len(picked):
        images = images.clone()
        images[picked] = change(images[picked], rng)
    return images


def _blurred(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Out of focus, or enlarged from a smaller picture."""
    factor = float(rng.uniform(0.35, 0.85))
    small = functional.interpolate(
        images, scale_factor=factor, mode="bilinear", antialias=True, align_corners=False
    )
    return functional.interpolate(
        small, size=images.shape[-2:], mode="bilinear", align_corners=False
    )


_FROM_RGB = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)
_LUMA_STEP = 16.0
_CHROMA_STEP = 18.0


@lru_cache(maxsize=4)
def _cosines(device: torch.device) -> Tensor:
    """The orthonormal 8x8 DCT-II matrix."""
    rows = torch.arange(8, dtype=torch.float32)[:, None]
    columns = torch.arange(8, dtype=torch.float32)[None]
    matrix = torch.cos(math.pi * (2 * columns + 1) * rows / 16) / 2
    matrix[0] /= math.sqrt(2)
    return matrix.to(device)


def _compressed(images: Tensor, rng: np.random.Generator) -> Tensor:
    """What JPEG keeps: cosines of 8x8 blocks, coarser the faster they change.

    The steps grow linearly with frequency, as the tables of the standard's annex K roughly do.
    """
    count, _, height, width = images.shape
    mix = images.new_tensor(_FROM_RGB)
    planes = torch.einsum("ij,bjhw->bihw", mix, images) * 255
    blocks = planes.view(count, 3, height // 8, 8, width // 8, 8)
    cosines = _cosines(images.device)
    turned = torch.einsum("ui,bchiwj,vj->bchuwv", cosines, blocks, cosines)
    frequency = torch.arange(8, device=images.device, dtype=torch.float32)
    growth = 1 + (frequency[:, None] + frequency[None]) * 0.6
    base = images.new_tensor([_LUMA_STEP, _CHROMA_STEP, _CHROMA_STEP]).view(1, 3, 1, 1, 1, 1)
    quality = np.exp(rng.uniform(math.log(0.3), math.log(2.5), count))
    strength = torch.from_numpy(quality).float().to(images.device).view(-1, 1, 1, 1, 1, 1)
    step = base * growth.view(1, 1, 1, 8, 1, 8) * strength
    turned = (turned / step).round() * step
    blocks = torch.einsum("ui,bchuwv,vj->bchiwj", cosines, turned, cosines)
    back = torch.einsum("ij,bjhw->bihw", torch.linalg.inv(mix), blocks.reshape_as(planes))
    return back / 255
