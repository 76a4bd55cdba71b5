"""Tiny annotation files of COCO and LVIS, with the pictures that they annotate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backend.codecs.coco import encode
from backend.masks import Mask
from tests.backend.training.data.pictures import jpeg

HEIGHT, WIDTH = 60, 80

Box = tuple[int, int, int, int]


def rectangle(box: Box) -> list[float]:
    """The polygon around the pixels of a box (left, top, right, bottom), half-open."""
    left, top, right, bottom = box
    return [left, top, right, top, right, bottom, left, bottom]


def filled(*boxes: Box) -> np.ndarray:
    """bool HxW: the pixels of the boxes."""
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return mask


def annotation(picture: int, *boxes: Box, **further: Any) -> dict[str, Any]:
    return {
        "image_id": picture,
        "category_id": 1,
        "segmentation": [rectangle(box) for box in boxes],
        **further,
    }


def crowd(picture: int, box: Box) -> dict[str, Any]:
    """Run lengths as COCO's file has them: a list of numbers."""
    mask = filled(box)
    columns = mask.T.ravel()
    ends = np.flatnonzero(np.diff(columns)) + 1
    counts = np.diff(np.concatenate([[0], ends, [columns.size]])).tolist()
    outline = {"size": [HEIGHT, WIDTH], "counts": counts if not columns[0] else [0, *counts]}
    return {"image_id": picture, "category_id": 1, "iscrowd": 1, "segmentation": outline}


def compressed(picture: int, box: Box) -> dict[str, Any]:
    outline = encode(Mask.of(filled(box)))
    return {"image_id": picture, "category_id": 1, "segmentation": outline}


def write_pictures(folder: Path, *numbers: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        image = np.full((HEIGHT, WIDTH, 3), (number * 40) % 256, np.uint8)
        (folder / f"{number:012d}.jpg").write_bytes(jpeg(image))


def write_coco(
    path: Path, annotations: Sequence[dict[str, Any]], pictures: Sequence[int] = (1, 2)
) -> Path:
    images = [
        {"id": number, "file_name": f"{number:012d}.jpg", "height": HEIGHT, "width": WIDTH}
        for number in pictures
    ]
    categories = [{"id": 1, "name": "thing", "supercategory": "any"}]
    return write_json(path, images, annotations, categories)


def write_stuff(path: Path, annotations: Sequence[dict[str, Any]], pictures: Sequence[int]) -> Path:
    images = [
        {"id": number, "file_name": f"{number:012d}.jpg", "height": HEIGHT, "width": WIDTH}
        for number in pictures
    ]
    categories = [
        {"id": 124, "name": "grass", "supercategory": "plant"},
        {"id": 183, "name": "other", "supercategory": "other"},
    ]
    return write_json(path, images, annotations, categories)


def write_lvis(
    path: Path, annotations: Sequence[dict[str, Any]], pictures: Sequence[int] = (1, 2)
) -> Path:
    images = [
        {
            "id": number,
            "coco_url": f"http://images.cocodataset.org/train2017/{number:012d}.jpg",
            "height": HEIGHT,
            "width": WIDTH,
            "neg_category_ids": [],
        }
        for number in pictures
    ]
    return write_json(path, images, annotations, [{"id": 1, "name": "button", "frequency": "r"}])


def write_json(
    path: Path,
    images: Sequence[dict[str, Any]],
    annotations: Sequence[dict[str, Any]],
    categories: Sequence[dict[str, Any]],
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    numbered = [{"id": number, **one} for number, one in enumerate(annotations)]
    content = {"images": images, "annotations": numbered, "categories": categories}
    path.write_text(json.dumps(content))
    return path
