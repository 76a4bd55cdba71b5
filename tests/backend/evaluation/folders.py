"""Evaluation sets written to disk, one function a layout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import scipy.io

Array = npt.NDArray[Any]
Pictures = Mapping[str, tuple[Array, Array]]
"""Name to (uint8 HxWx3 RGB, integer HxW of object ids, 0 background, -1 ignore)."""

VOC_PALETTE = {1: (128, 0, 0), 2: (0, 128, 0), 255: (224, 224, 192)}


def _save(path: Path, array: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(array.astype(np.uint8)).save(path)


def write_packed(root: Path, pictures: Pictures, **entries: Any) -> Path:
    """Images, palette masks and manifest.json; `entries` go into every sample's line."""
    samples = []
    for name, (image, ids) in pictures.items():
        _save(root / "images" / f"{name}.png", image)
        mask = PIL.Image.fromarray(np.where(ids < 0, 255, ids).astype(np.uint8)).convert("P")
        mask.putpalette([value for index in range(256) for value in (index, 255 - index, 7)])
        (root / "masks").mkdir(exist_ok=True)
        mask.save(root / "masks" / f"{name}.png")
        samples.append(
            {
                "key": name,
                "image": f"images/{name}.png",
                "mask": f"masks/{name}.png",
                "objects": [{"id": int(id_)} for id_ in np.unique(ids) if id_ > 0],
                **entries,
            }
        )
    manifest = {"name": root.name, "ignore_index": 255, "samples": samples}
    (root / "manifest.json").write_text(json.dumps(manifest))
    return root


def write_trimaps(root: Path, pictures: Pictures, images: str, masks: str) -> Path:
    """GrabCut (data_GT, boundary_GT) and Berkeley (images, masks)."""
    for name, (image, ids) in pictures.items():
        _save(root / images / f"{name}.bmp", image)
        _save(root / masks / f"{name}.png", np.where(ids < 0, 128, np.where(ids > 0, 255, 0)))
    return root


def write_davis585(root: Path, pictures: Pictures, starts: bool = True) -> Path:
    """DAVIS-585: a folder a sequence with frames, masks of objects, and faulty masks of those."""
    for name, (image, ids) in pictures.items():
        folder = root / name
        folder.mkdir(parents=True)
        PIL.Image.fromarray(image).save(folder / "00007.jpg", quality=95)
        for id_ in np.unique(ids[ids > 0]):
            mask = np.where(ids == id_, 255, 0)
            _save(folder / f"object{id_}_00007.png", mask)
            if starts:
                _save(folder / f"init_sp_object{id_}_00007.png", np.roll(mask, 3, axis=1))
    return root


def write_colour_masks(root: Path, pictures: Pictures) -> Path:
    """DAVIS and COCO_MVal: the ids of an object are colours."""
    for name, (image, ids) in pictures.items():
        _save(root / "img" / f"{name}.png", image)
        colours = np.zeros((*ids.shape, 3), np.uint8)
        for id_ in np.unique(ids[ids > 0]):
            colours[ids == id_, id_ % 3] = 1 if id_ == 1 else 128
        _save(root / "gt" / f"{name}.png", colours)
    return root


def write_sbd(root: Path, pictures: Pictures) -> Path:
    """SBD: Matlab files of instances, with a list of the validation pictures."""
    (root / "inst").mkdir(parents=True)
    (root / "img").mkdir()
    for name, (image, ids) in pictures.items():
        cv2.imwrite(str(root / "img" / f"{name}.jpg"), image[..., ::-1])
        instances = {"Segmentation": ids.astype(np.uint8), "Categories": np.array([[1], [2]])}
        scipy.io.savemat(str(root / "inst" / f"{name}.mat"), {"GTinst": instances})
    (root / "val.txt").write_text("".join(f"{name}\n" for name in pictures) + "\n")
    return root


def write_voc(root: Path, pictures: Pictures, listed: list[str] | None = None) -> Path:
    """PascalVOC: palette masks of instances; val.txt only where `listed` is given."""
    (root / "JPEGImages").mkdir(parents=True)
    for name, (image, ids) in pictures.items():
        cv2.imwrite(str(root / "JPEGImages" / f"{name}.jpg"), image[..., ::-1])
        mask = PIL.Image.fromarray(np.where(ids < 0, 255, ids).astype(np.uint8)).convert("P")
        palette = [VOC_PALETTE.get(index, (0, 0, 0)) for index in range(256)]
        mask.putpalette([value for colour in palette for value in colour])
        (root / "SegmentationObject").mkdir(exist_ok=True)
        mask.save(root / "SegmentationObject" / f"{name}.png")
    if listed is not None:
        lists = root / "ImageSets" / "Segmentation"
        lists.mkdir(parents=True)
        (lists / "val.txt").write_text("".join(f"{name}\n" for name in listed))
    return root
