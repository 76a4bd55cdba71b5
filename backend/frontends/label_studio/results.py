"""Masks as regions of the editor: brush, polygon or bitmask, whichever the configuration has."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.codecs import label_studio as codec
from backend.codecs import polygons
from backend.frontends.label_studio.config import ControlTag, Output
from backend.masks import Mask

Region = dict[str, Any]

ID_LENGTH = 10
LEAST_PART = 200
"""Parts of less than one in so many of a mask's pixels become no polygon of their own."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a mask goes in the editor.

    `image` is the object tag, `labels` the classes, `index` the picture's place where the tag
    shows several, `seed` a text that is the same for every answer about this object and for no
    other's: regions get their ids from it, and a later answer replaces an earlier one.
    """

    output: Output
    image: str
    labels: tuple[str, ...]
    seed: str
    index: int | None = None


def regions(mask: Mask, score: float | None, place: Placement) -> list[Region]:
    """The regions that show a mask; none for an empty one.

    With a separate `<Labels>` each comes as a pair of one id, the second of which has the class.
    """
    control, classes = place.output.control, place.output.classes
    labels = [label for label in place.labels if (classes or control).knows(label)]
    found: list[Region] = []
    for number, drawn in enumerate(_values(mask, control)):
        common = _common(mask, score, place, f"{place.seed}:{number}" if number else place.seed)
        value = {**drawn, control.type: labels} if control.labelled else drawn
        found.append({**common, "type": control.type, "from_name": control.name, "value": value})
        if classes is not None:
            value = {**drawn, "labels": labels}
            found.append({**common, "type": "labels", "from_name": classes.name, "value": value})
    return found


def region_id(seed: str) -> str:
    """Ten characters for an object, unlike the ids that the editor draws at random."""
    return hashlib.sha256(f"maskloop:{seed}".encode("utf-8", "replace")).hexdigest()[:ID_LENGTH]


def _common(mask: Mask, score: float | None, place: Placement, seed: str) -> Region:
    height, width = mask.size
    common: Region = {
        "id": region_id(seed),
        "to_name": place.image,
        "origin": "prediction",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "readonly": False,
    }
    if score is not None:
        common["score"] = score
    if place.index is not None:
        common["item_index"] = place.index
    return common


def _values(mask: Mask, control: ControlTag) -> list[Region]:
    """The mask in the control's own form, without labels; polygons may take several regions."""
    if not mask:
        return []
    if control.shape == "brush":
        return [{"format": "rle", "rle": codec.encode_rle(mask)}]
    if control.shape == "bitmask":
        return [{"imageDataURL": codec.png_data_url(mask)}]
    return [{"points": _percent(ring, mask.size), "closed": True} for ring in _rings(mask)]


def _rings(mask: Mask) -> Sequence[polygons.Ring]:
    rings = polygons.single_rings(mask, smallest=mask.area // LEAST_PART)
    return rings or [polygons.single_ring(mask)]


def _percent(ring: polygons.Ring, size: tuple[int, int]) -> list[list[float]]:
    height, width = size
    points = np.clip(ring * (100 / np.array([width, height])), 0, 100)
    return [[round(x, 4), round(y, 4)] for x, y in points.tolist()]
