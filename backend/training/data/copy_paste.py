"""Objects of one picture on the background of another.

Simple Copy-Paste (Ghiasi et al., CVPR 2021) with one object a time and a blended edge: few
pictures become many, and no object can be told by its surroundings any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt

from backend.training.data.augmentation import Augmentation
from backend.training.data.colour import BrightnessContrast, ColourCast
from backend.training.data.source import BACKGROUND, Annotated, Image, Kind, Layer, Mask, ObjectRef


@dataclass(frozen=True)
class CopyPaste:
    """Paste an object of another picture, with probability `p`.

    The object's long side becomes a share of the picture's long side, log-uniform in `share`, but
    it is enlarged at most `enlarged` times. It is mirrored half of the time, recoloured by
    `recolour`, and its edge is blended over `blend` pixels (the deviation of the Gaussian, drawn
    uniformly). Objects with fewer than `smallest` pixels, or that touch the border of their picture
    and are hence cut off, are not taken. What it covers of other objects belongs to them no more.
    """

    p: float = 0.3
    share: tuple[float, float] = (0.12, 0.8)
    enlarged: float = 1.5
    blend: tuple[float, float] = (0.3, 1.5)
    smallest: int = 400
    recolour: tuple[Augmentation, ...] = field(
        default=(
            BrightnessContrast((-0.12, 0.12), (-0.15, 0.25), p=0.5),
            ColourCast(0.12, 0.2, p=0.5),
        )
    )

    def paste(self, host: Annotated, donor: Annotated, rng: np.random.Generator) -> Annotated:
        """The host with one object of the donor on it, as its last object, in its first layer.

        The host itself where the donor has no object that can be taken, or nothing of it would
        be seen.
        """
        candidates = self._candidates(donor)
        if not candidates:
            return host
        mask = donor.mask(candidates[int(rng.integers(len(candidates)))])
        cut = self._cut_out(donor.image, mask, max(host.size), rng)
        if cut is None:
            return host
        return _laid_on(host, *cut, sigma=rng.uniform(*self.blend), rng=rng)

    def _candidates(self, donor: Annotated) -> list[int]:
        large = np.flatnonzero(donor.areas() >= self.smallest).tolist()
        return [
            index
            for index in large
            if not donor.objects[index].stuff and not _touches_border(donor.mask(index))
        ]

    def _cut_out(
        self, image: Image, mask: Mask, longest: int, rng: np.random.Generator
    ) -> tuple[Image, Mask] | None:
        """The object's box of image and mask at its new size, or None where too little is left."""
        left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
        window = (slice(top, top + height), slice(left, left + width))
        low, high = np.log(self.share)
        wanted = longest * np.exp(rng.uniform(low, high))
        factor = min(wanted / max(width, height), self.enlarged)
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        way = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        piece = np.asarray(cv2.resize(image[window], size, interpolation=way), np.uint8)
        own = np.ascontiguousarray(mask[window]).view(np.uint8)
        shape = cv2.resize(own, size, interpolation=cv2.INTER_NEAREST_EXACT).view(np.bool_)
        if rng.random() < 0.5:
            piece = np.asarray(cv2.flip(piece, 1), np.uint8)
            shape = np.ascontiguousarray(shape[:, ::-1])
        for step in self.recolour:
            piece, _ = step(piece, (), rng)
        return (piece, shape) if shape.any() else None


def _touches_border(mask: Mask) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def _laid_on(
    host: Annotated, piece: Image, shape: Mask, *, sigma: float, rng: np.random.Generator
) -> Annotated:
    """The piece somewhere on the host, its middle within the host."""
    height, width = host.size
    rows, columns = shape.shape
    top = int(rng.integers(-(rows // 2), max(1, height - rows // 2)))
    left = int(rng.integers(-(columns // 2), max(1, width - columns // 2)))
    there = (
        slice(max(top, 0), min(top + rows, height)),
        slice(max(left, 0), min(left + columns, width)),
    )
    here = (
        slice(there[0].start - top, there[0].stop - top),
        slice(there[1].start - left, there[1].stop - left),
    )
    seen = shape[here]
    if not seen.any():
        return host
    image = host.image.copy()
    image[there] = _blended(image[there], piece[here], _opacity(shape, sigma)[here])
    id_ = 1 + max(BACKGROUND, *(int(layer.max()) for layer in host.layers))
    layers = tuple(_covered(layer, there, seen) for layer in host.layers)
    layers[0][there][seen] = id_
    kind = Kind.INSTANCES if host.kind is Kind.PARTS else host.kind
    objects = (*host.objects, ObjectRef(0, id_))
    return replace(host, image=image, layers=layers, objects=objects, kind=kind)


def _opacity(shape: Mask, sigma: float) -> npt.NDArray[np.float32]:
    """float32 in 0..1: how much of the piece is seen. Half at the edge, none outside.

    The blur looks inwards only: pixels around the object in its own picture are never shown.
    """
    solid = shape.astype(np.float32)
    soft = cv2.GaussianBlur(solid, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(soft * solid, np.float32)


def _blended(below: Image, above: Image, opacity: npt.NDArray[np.float32]) -> Image:
    weight = opacity[..., None]
    return np.rint(below * (1 - weight) + above * weight).astype(np.uint8)


def _covered(layer: Layer, there: tuple[slice, slice], seen: Mask) -> Layer:
    layer = layer.copy()
    layer[there][seen] = BACKGROUND
    return layer
