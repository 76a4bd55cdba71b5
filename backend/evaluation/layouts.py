"""Readers of the on-disk layouts in which evaluation sets are handed round.

The rules that turn stored values into object, background and ignore are those of the RITM
evaluation (Sofiiuk et al., 2021), so numbers are comparable with published ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from backend.errors import InvalidRequest
from backend.evaluation.datasets import BACKGROUND, IGNORE, OBJECT, DataSet, Labels, Sample
from backend.evaluation.picture_files import (
    pictures_by_stem,
    read_bgr,
    read_ids,
    read_lines,
    read_rgb,
    read_sbd_instances,
)

Bool = npt.NDArray[np.bool_]

VOC_VOID_GREY = 220
"""Grey value of PascalVOC's void colour (224, 224, 192)."""

DEPTH = 2
"""How far below a given folder a set is looked for: archives often add a folder or two."""


@dataclass(frozen=True)
class Layout:
    """A layout: the entries by which it is recognised and the reader of its samples."""

    name: str
    entries: tuple[str, ...]
    read: Callable[[Path], list[Sample]]

    def fits(self, root: Path) -> bool:
        """Whether the folder holds every entry of the layout; an entry may be a pattern."""
        return all(next(root.glob(entry), None) is not None for entry in self.entries)


def open_dataset(root: Path) -> DataSet:
    """The set in folder `root`, or in its only subfolder that holds one.

    Raises `InvalidRequest` for a folder that holds no known layout, several sets, or a set with
    files missing.
    """
    if not root.is_dir():
        raise InvalidRequest(f"{root} is not a folder; name the folder of an evaluation set")
    places = [root]
    for _ in range(DEPTH + 1):
        found = [(place, layout) for place in places if (layout := _layout(place))]
        if len(found) > 1:
            names = ", ".join(str(place) for place, _ in found)
            raise InvalidRequest(f"{root} holds several evaluation sets; name one of {names}")
        if found:
            place, layout = found[0]
            samples = _checked(layout.read(place), place)
            return DataSet(root.resolve().name, layout.name, place, samples)
        places = [below for place in places for below in sorted(place.iterdir()) if below.is_dir()]
    known = "; ".join(f"{layout.name}: {', '.join(layout.entries)}" for layout in LAYOUTS)
    raise InvalidRequest(f"{root} holds no evaluation set of a known layout ({known})")


def _layout(root: Path) -> Layout | None:
    return next((layout for layout in LAYOUTS if layout.fits(root)), None)


def _checked(samples: list[Sample], root: Path) -> tuple[Sample, ...]:
    if not samples:
        raise InvalidRequest(f"{root}: the set holds no object; check that it is complete")
    if len({sample.key for sample in samples}) < len(samples):
        raise InvalidRequest(f"{root}: two samples have the same key; mend the set's list")
    return tuple(samples)


def _labels(positive: Bool, ignore: Bool | None = None) -> Labels:
    labels = np.where(positive, np.int8(OBJECT), np.int8(BACKGROUND))
    if ignore is not None:
        labels[ignore] = IGNORE
    return labels


def _one_object(
    root: Path, images: str, masks: str, read: Callable[[Path], Labels]
) -> list[Sample]:
    """Samples of a set with one mask file an object, paired by stem."""
    by_stem = pictures_by_stem(root / images)
    mask_files = pictures_by_stem(root / masks)
    bare = sorted(by_stem.keys() - mask_files.keys())
    if bare:
        raise InvalidRequest(
            f"{root}: {masks} has no mask of {', '.join(bare[:3])} ({len(bare)} pictures in all); "
            "complete the set"
        )
    return [
        Sample(key, str(path), partial(read_rgb, path), partial(read, mask_files[key]))
        for key, path in by_stem.items()
    ]


def _trimap(path: Path) -> Labels:
    """GrabCut's and Berkeley's masks: 128 is undecided, more is object (blue channel)."""
    blue = read_bgr(path)[..., 0]
    return _labels(blue > 128, blue == 128)


def _any_colour(path: Path) -> Labels:
    """DAVIS' and COCO_MVal's masks: everything that is not black is the object."""
    return _labels(np.any(read_bgr(path) > 0, axis=2))


def _read_davis585(root: Path) -> list[Sample]:
    """DAVIS-585 (Chen et al., FocalClick, 2022): objects of video frames, with masks to correct.

    Beside a frame `NNNNN.jpg` lies a mask `objectK_NNNNN.png` for each object, and beside that
    faulty masks `init_sp_...` (from superpixels) and `init_stm_...` (from a propagation).
    """
    samples = []
    for mask in sorted(root.glob("*/object*_*.png")):
        image = mask.with_name(f"{mask.stem.rpartition('_')[2]}.jpg")
        if not image.is_file():
            raise InvalidRequest(f"{root}: {mask.parent.name} has no picture {image.name}")
        starts = {
            name: partial(_start, path)
            for name in ("sp", "stm")
            if (path := mask.with_name(f"init_{name}_{mask.name}")).is_file()
        }
        key = f"{mask.parent.name}/{mask.stem}"
        read = partial(read_rgb, image), partial(_bright, mask)
        samples.append(Sample(key, str(image), *read, starts=starts))
    return samples


def _start(path: Path) -> Bool:
    return np.asarray(read_bgr(path)[..., 0] > 128)


def _bright(path: Path) -> Labels:
    return _labels(_start(path))


def _read_sbd(root: Path) -> list[Sample]:
    """SBD (Hariharan et al., 2011): the instances of the pictures in `val.txt`."""
    samples = []
    for name in read_lines(root / "val.txt"):
        image, instances = root / "img" / f"{name}.jpg", root / "inst" / f"{name}.mat"
        ids = np.unique(read_sbd_instances(instances))
        samples += [
            Sample(
                f"{name}#{id_}",
                str(image),
                partial(read_rgb, image),
                partial(_sbd_labels, instances, id_),
            )
            for id_ in ids[ids > 0].tolist()
        ]
    return samples


def _sbd_labels(path: Path, id_: int) -> Labels:
    return _labels(read_sbd_instances(path) == id_)


def _read_voc(root: Path) -> list[Sample]:
    """PascalVOC (Everingham et al., 2010): the instances of the validation pictures.

    Papers take pictures and instances from a `test.pickle`; unpickling runs code, so both are
    derived here: pictures from `ImageSets/Segmentation/val.txt` (without that file all that have
    an instance mask), instances from the masks' grey values.
    """
    masks = pictures_by_stem(root / "SegmentationObject")
    listed = root / "ImageSets" / "Segmentation" / "val.txt"
    samples = []
    for name in read_lines(listed) if listed.is_file() else masks:
        if name not in masks:
            raise InvalidRequest(f"{root}: SegmentationObject has no mask of {name}")
        image = root / "JPEGImages" / f"{name}.jpg"
        greys = np.unique(_voc_greys(masks[name]))
        samples += [
            Sample(
                f"{name}#{grey}",
                str(image),
                partial(read_rgb, image),
                partial(_voc_labels, masks[name], grey),
            )
            for grey in greys[(greys > 0) & (greys != VOC_VOID_GREY)].tolist()
        ]
    return samples


def _voc_greys(path: Path) -> npt.NDArray[np.int32]:
    return np.asarray(cv2.cvtColor(read_bgr(path), cv2.COLOR_BGR2GRAY), np.int32)


def _voc_labels(path: Path, grey: int) -> Labels:
    greys = _voc_greys(path)
    return _labels(greys == grey, greys == VOC_VOID_GREY)


def _read_packed(root: Path) -> list[Sample]:
    """Pictures with palette masks of object ids, listed in `manifest.json`.

    Frames of DAVIS are one object each, the union of all ids; elsewhere every id is an object.
    """
    path = root / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        ignore = int(manifest["ignore_index"])
        union = str(manifest["name"]).startswith("davis")
        return [
            sample
            for entry in manifest["samples"]
            for sample in _packed_samples(root, entry, ignore, union)
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidRequest(f"{path} is not a list of evaluation samples ({error!r})") from error


def _packed_samples(
    root: Path, entry: Mapping[str, Any], ignore: int, union: bool
) -> Iterable[Sample]:
    image, mask = root / entry["image"], root / entry["mask"]
    ids = [int(thing["id"]) for thing in entry["objects"]]
    groups = [tuple(ids)] if union else [(id_,) for id_ in ids]
    for group in groups:
        yield Sample(
            entry["key"] if len(groups) == 1 else f"{entry['key']}#{group[0]}",
            str(image),
            partial(read_rgb, image),
            partial(_packed_labels, mask, group, ignore),
            entry.get("split"),
        )


def _packed_labels(path: Path, ids: tuple[int, ...], ignore: int) -> Labels:
    stored = read_ids(path)
    return _labels(np.isin(stored, ids), stored == ignore)


LAYOUTS: tuple[Layout, ...] = (
    Layout("packed", ("manifest.json", "images", "masks"), _read_packed),
    Layout(
        "GrabCut",
        ("data_GT", "boundary_GT"),
        lambda root: _one_object(root, "data_GT", "boundary_GT", _trimap),
    ),
    Layout(
        "Berkeley",
        ("images", "masks"),
        lambda root: _one_object(root, "images", "masks", _trimap),
    ),
    Layout(
        "DAVIS or COCO_MVal",
        ("img", "gt"),
        lambda root: _one_object(root, "img", "gt", _any_colour),
    ),
    Layout("DAVIS-585", ("*/object*_*.png",), _read_davis585),
    Layout("SBD", ("img", "inst"), _read_sbd),
    Layout("PascalVOC", ("JPEGImages", "SegmentationObject"), _read_voc),
)
"""Tried in this order."""
