"""Milliseconds to put a mask of 4000 x 3000 pixels into each form, and what polygons lose.

    python -m benchmarks.codecs [--rounds N] [--masks DIR ...]

Two masks: one disc, and 240 000 speckles, which no tool should ever have to draw. Where a tool's
own package has an encoder, it runs beside ours in the same run. With `--masks`, every object in
the PNG files of the folders (one value per object, 255 being the object or, beside others, to be
ignored) is turned into polygons and back, at several tolerances.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cvat_sdk.masks
import numpy as np
import numpy.typing as npt
from label_studio_sdk.converter.brush import mask2rle
from PIL import Image
from rich.console import Console
from rich.table import Table

from backend import cleaning
from backend.codecs import coco, cvat, label_studio, png, polygons
from backend.evaluation import machine
from backend.masks import Mask
from backend.pictures import PictureLimits
from models.prompts import Click, Prompt

SIZE = (3000, 4000)
SPECKLES = 240_000
TOLERANCES = (0.0, 0.5, 0.75, 1.0, 2.0)
IGNORED = 255
LEAST_AREA = 50
Form = tuple[str, Callable[[Mask], Any], Callable[[Mask], Any] | None]
THEIR_BRUSH: Callable[[npt.NDArray[np.uint8]], list[int]] = mask2rle


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--masks", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    console = Console(width=100)
    console.print(_times(arguments.rounds))
    if arguments.masks:
        console.print(_round_trips([*_objects(arguments.masks)]))
    console.print(machine.describe("cpu"))


def _times(rounds: int) -> Table:
    table = Table("form", "disc", "its tool", "size", "speckles", "its tool", "size")
    table.columns[0].no_wrap = True
    masks = (_disc(), _speckles())
    for name, ours, theirs in FORMS:
        cells = []
        for mask in masks:
            milliseconds, found = _median(ours, mask, rounds)
            cells.append(f"{milliseconds:.1f} ms")
            cells.append("" if theirs is None else f"{_median(theirs, mask, 1)[0]:.0f} ms")
            cells.append(f"{len(found) / 1000:.0f} k" if isinstance(found, str | list) else "")
        table.add_row(name, *cells)
    return table


def _median(function: Callable[[Mask], Any], mask: Mask, rounds: int) -> tuple[float, Any]:
    """Median milliseconds of a call, and what it gave."""
    found, times = None, []
    for _ in range(rounds):
        fresh = Mask(mask.size, mask.box, mask.crop)
        started = time.perf_counter()
        found = function(fresh)
        times.append((time.perf_counter() - started) * 1000)
    return float(np.median(times)), found


def _disc() -> Mask:
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    return Mask.of((columns - 2000) ** 2 + (rows - 1500) ** 2 < 900**2)


def _speckles() -> Mask:
    array = np.zeros(SIZE, np.bool_)
    array.ravel()[np.random.default_rng(0).integers(0, array.size, SPECKLES)] = True
    return Mask.of(array)


def _bytes_of_mask(mask: Mask) -> npt.NDArray[np.uint8]:
    return mask.full.astype(np.uint8) * np.uint8(255)


def _from_png(mask: Mask) -> Mask:
    return png.decode(png.encode(mask), SIZE, PictureLimits(1 << 30, 1 << 30))


FORMS: Sequence[Form] = (
    ("CVAT: whole mask", cvat.full_mask_json, lambda mask: json.dumps(mask.full.tolist())),
    ("CVAT: cropped mask", cvat.cropped_json, None),
    ("CVAT: runs", cvat.runs, lambda mask: cvat_sdk.masks.encode_mask(mask.full)),
    ("CVAT: contour", cvat.contour, None),
    (
        "Label Studio: brush",
        label_studio.encode_rle,
        lambda mask: THEIR_BRUSH(_bytes_of_mask(mask)),
    ),
    (
        "Label Studio: brush, and back",
        lambda mask: label_studio.decode_rle(label_studio.encode_rle(mask), SIZE),
        None,
    ),
    ("Label Studio: bitmask", label_studio.png_data_url, None),
    ("COCO", coco.encode, None),
    ("COCO, and back", lambda mask: coco.decode(coco.encode(mask), SIZE), None),
    ("PNG", png.encode, None),
    ("PNG, and back", _from_png, None),
    ("polygons, 16 pixels or more", lambda mask: polygons.rings(mask, smallest=16), None),
    ("cleaning", lambda mask: cleaning.clean(mask, Prompt((Click(2000, 1500),))), None),
)


def _objects(folders: Sequence[Path]) -> Iterator[Mask]:
    """Every object of some size in the PNG files below the folders."""
    for path in (path for folder in folders for path in sorted(folder.rglob("*.png"))):
        values = np.asarray(Image.open(path))
        if values.ndim == 2:
            found = [value for value in np.unique(values).tolist() if value]
            for value in [value for value in found if value != IGNORED] or found:
                mask = Mask.of(np.equal(values, value))
                if mask.area >= LEAST_AREA:
                    yield mask


def _round_trips(masks: Sequence[Mask]) -> Table:
    title = f"{len(masks)} objects as polygons and back"
    table = Table("tolerance", "rings", "mean IoU", "least", "vertices", title=title)
    for tolerance in TOLERANCES:
        for name, shapes_of in SHAPES:
            overlaps, vertices = [], []
            for mask in masks:
                shapes = shapes_of(mask, tolerance)
                filled = np.zeros(mask.size, np.bool_)
                for shape in shapes:
                    filled |= polygons.fill(shape, mask.size).full
                overlaps.append((filled & mask.full).sum() / (filled | mask.full).sum())
                vertices.append(sum(len(ring) for shape in shapes for ring in shape))
            table.add_row(
                f"{tolerance}",
                name,
                f"{np.mean(overlaps):.4f}",
                f"{np.min(overlaps):.3f}",
                f"{np.mean(vertices):.0f}",
            )
    return table


def _each(rings: list[polygons.Ring]) -> list[list[polygons.Ring]]:
    """Each ring as a polygon of its own."""
    return [[ring] for ring in rings]


SHAPES: Sequence[tuple[str, Callable[[Mask, float], list[list[polygons.Ring]]]]] = (
    ("holes apart", lambda mask, by: [polygons.rings(mask, by)]),
    ("holes joined by a cut", lambda mask, by: _each(polygons.single_rings(mask, by))),
    ("holes left out", lambda mask, by: _each(polygons.single_rings(mask, by, keep_holes=False))),
)


if __name__ == "__main__":
    main()
