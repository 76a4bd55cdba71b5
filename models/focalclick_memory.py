"""What FocalClick remembers between two clicks: its last answer, in the pieces it was made of."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.resampling import moved, resized, spread
from models.state import State
from models.zoom import Roi, Size, common, limited_size, mask_roi, whole

Mask = npt.NDArray[np.bool_]

MOST_BYTES = 3 << 20
"""Pieces of more bytes are put together into one."""

LONGEST_SIDE = 1024
"""Of that one: 2 MiB at two bytes a pixel."""

MOST_MASK_BYTES = 512 << 10
"""A packed mask of more bytes, which only noise makes, is kept at half the size."""

STEEPEST = 100.0
"""Logits beyond this are certain, and two bytes hold this much."""


@dataclass(frozen=True)
class Layer:
    """A piece of an answer: a map [h, w], of any size, that lies over `region`.

    `values` are probabilities, or logits where `logits` says so.
    """

    region: Roi
    values: Tensor
    logits: bool = False

    @classmethod
    def kept(cls, region: Roi, values: Tensor, *, logits: bool = False) -> Layer:
        """The same, in two bytes a pixel."""
        return cls(region, values.clamp(-STEEPEST, STEEPEST).half(), logits)

    @property
    def nbytes(self) -> int:
        """What keeping it costs."""
        return self.values.numel() * self.values.element_size()

    def rendered(self) -> Tensor:
        """Probabilities float32 of the region's size."""
        values = resized(self.values[None, None].float(), self.region.size)[0, 0]
        return values.sigmoid() if self.logits else values


@dataclass(frozen=True)
class Memory:
    """What one click leaves for the next.

    `layers` are the last answer, later ones upon earlier ones, zero beside them. `bounds` is the
    box of the mask to zoom in on, `roi` the last target crop. `merged` is the annotator's mask
    where it is merged with the answers.
    """

    layers: tuple[Layer, ...] = ()
    bounds: Roi | None = None
    roi: Roi | None = None
    merged: Mask | None = None

    @classmethod
    def of_mask(cls, mask: Mask) -> Memory:
        """As if the network had answered bool HxW `mask`; nothing remembered of an empty one."""
        bounds = mask_roi(mask)
        if bounds is None:
            return cls()
        over = whole((mask.shape[0], mask.shape[1]))
        return cls((Layer(over, torch.from_numpy(mask)),), bounds)

    @classmethod
    def recalled(cls, state: State) -> Memory:
        """The memory that a state of our own carries."""
        bounds, roi = (_roi(state.values.get(name)) for name in ("bounds", "roi"))
        layers = tuple(
            Layer(Roi(*region), torch.from_numpy(np.array(state.arrays[f"layer{index}"])), logits)
            for index, (region, logits) in enumerate(state.values.get("layers", ()))
        )
        packed, size = state.arrays.get("merged"), state.values.get("merged")
        merged = None if packed is None or size is None else unpacked(packed, (size[0], size[1]))
        return cls(layers, bounds, roi, merged)

    def state(self, version: str, picture: str) -> State:
        """The same as a state of a model version and a picture."""
        arrays: dict[str, npt.NDArray[np.generic]] = {
            f"layer{index}": layer.values.numpy() for index, layer in enumerate(self.layers)
        }
        merged = None
        if self.merged is not None:
            arrays["merged"] = packed(self.merged)
            merged = list(self.merged.shape)
        values = {
            "bounds": None if self.bounds is None else list(self.bounds),
            "roi": None if self.roi is None else list(self.roi),
            "layers": [(list(layer.region), layer.logits) for layer in self.layers],
            "merged": merged,
        }
        return State(version, picture, arrays, values)

    @cached_property
    def region(self) -> Roi | None:
        """Where the answer may be more than zero."""
        return union([layer.region for layer in self.layers])

    @cached_property
    def values(self) -> Tensor:
        """The last answer: probabilities float32 over `region`, [0, 0] without one."""
        if self.region is None:
            return torch.zeros(0, 0)
        if len(self.layers) == 1:
            return self.layers[0].rendered()
        values = torch.zeros(self.region.size)
        for layer in self.layers:
            part(values, layer.region, self.region).copy_(layer.rendered())
        return values

    def seen(self, source: Roi, size: Size) -> Tensor:
        """The last answer, float32 `size`, as it looks in the crop of `source`."""
        if self.region is None:
            return torch.zeros(size)
        rows = spread(source.top, source.bottom, size[0]) - self.region.top
        columns = spread(source.left, source.right, size[1]) - self.region.left
        return moved(self.values, rows, columns)

    def with_layer(self, layer: Layer) -> Memory:
        """With one more piece upon the others; too many are put together into one."""
        below = [one for one in self.layers if common(one.region, layer.region) != one.region]
        memory = replace(self, layers=(*below, layer))
        if sum(one.nbytes for one in memory.layers) <= MOST_BYTES:
            return memory
        region = memory.region
        assert region is not None  # noqa: S101 - there is at least the new piece
        size = limited_size(region.size, LONGEST_SIDE)
        return replace(self, layers=(Layer.kept(region, memory.seen(region, size)),))


def part(values: Tensor, region: Roi, of: Roi) -> Tensor:
    """The rows and columns of `region`, which lies in `of`, from a map that lies over `of`."""
    top, left = region.top - of.top, region.left - of.left
    height, width = region.size
    return values[top : top + height, left : left + width]


def union(regions: Sequence[Roi]) -> Roi | None:
    """The smallest region that holds all others; None of none."""
    if not regions:
        return None
    tops, bottoms, lefts, rights = zip(*regions, strict=True)
    return Roi(min(tops), max(bottoms), min(lefts), max(rights))


def packed(mask: Mask) -> npt.NDArray[np.uint8]:
    """A mask as compressed bytes, the first of which says how often it was halved."""
    halvings = 0
    while len(data := zlib.compress(np.packbits(mask).tobytes(), 1)) > MOST_MASK_BYTES:
        mask = mask[::2, ::2]
        halvings += 1
    return np.frombuffer(bytes([halvings]) + data, np.uint8)


def unpacked(data: npt.NDArray[np.generic], size: Size) -> Mask:
    """The mask, bool HxW, that `packed` made of one of `size`."""
    raw = data.tobytes()
    height, width = (-(-side // (1 << raw[0])) for side in size)
    bits = np.frombuffer(zlib.decompress(raw[1:]), np.uint8)
    mask = np.unpackbits(bits, count=height * width).reshape(height, width).astype(np.bool_)
    for _ in range(raw[0]):
        mask = mask.repeat(2, axis=0).repeat(2, axis=1)
    return mask[: size[0], : size[1]]


def _roi(values: Sequence[int] | None) -> Roi | None:
    return None if values is None else Roi(*values)
