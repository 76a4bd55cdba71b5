"""COCO's and LVIS's annotation files: pictures, and what is annotated on each of them.

Both are JSON with `images`, `annotations` and `categories`. LVIS (Gupta et al., CVPR 2019) names
a picture by its address alone and says how frequent a category is; panoptic files (Kirillov et
al., CVPR 2019) list the segments of a PNG. Files are told apart by that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from backend.errors import InvalidRequest
from backend.training.data.decoding import MAX_PIXELS

STUFF = range(92, 184)
"""The categories of COCO's stuff files (Caesar et al., CVPR 2018)."""

THINGS = 183
"""The one of them that is no stuff: it covers all things of a picture together."""

ANNOTATION_FOLDERS = ("annotations", "annotation", "labels")


class Flavour(StrEnum):
    """Which annotation file it is."""

    COCO = "COCO"
    STUFF = "COCO stuff"
    LVIS = "LVIS"
    PANOPTIC = "COCO panoptic"


@dataclass(frozen=True, slots=True)
class Listed:
    """A picture of an annotation file: where it may lie below a root, and its size in pixels."""

    names: tuple[str, ...]
    height: int
    width: int


@dataclass(frozen=True)
class AnnotationFile:
    """What an annotation file says.

    `annotations` are the annotations of a picture by its id, as they are written; `stuff` the
    categories that are no things.
    """

    path: Path
    flavour: Flavour
    pictures: Mapping[int, Listed]
    annotations: Mapping[int, Sequence[Mapping[str, Any]]]
    stuff: frozenset[int]


def read_annotations(path: Path) -> AnnotationFile:
    """Read an annotation file. Raises `InvalidRequest` for anything else."""
    try:
        content = json.loads(path.read_bytes())
        images, annotations = content["images"], content["annotations"]
        categories = content.get("categories", [])
        flavour = _flavour(annotations, categories)
        if flavour is Flavour.STUFF:
            annotations = [one for one in annotations if one["category_id"] != THINGS]
        return AnnotationFile(
            path,
            flavour,
            {int(image["id"]): _listed(image) for image in images},
            _by_picture(annotations, {int(image["id"]) for image in images}, path),
            _stuff(flavour, categories),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidRequest(
            f"{path} is not an annotation file of COCO or LVIS ({error!r}); it needs images and "
            "annotations"
        ) from error


def find_pictures(file: AnnotationFile, beside: Sequence[Path] = ()) -> dict[int, Path]:
    """The files of the pictures that are there, by picture id, in the file's order.

    They are looked for beside the annotation file, beside its folder where that is one for
    annotations, and in the folders there; then in the same way beside the annotation files
    `beside`. Raises `InvalidRequest` where none is found.
    """
    places = [root for path in (file.path, *beside) for root in _roots(path)]
    roots = list(dict.fromkeys(places))
    known: dict[Path, frozenset[str]] = {}
    found = {}
    for id_, picture in file.pictures.items():
        path = _find(picture, roots, known)
        if path is not None:
            found[id_] = path
    if not found:
        first = next(iter(file.pictures.values()), None)
        raise InvalidRequest(
            f"{file.path} lists {len(file.pictures)} pictures, but none of them lies beside it"
            + (f" (such as {first.names[0]})" if first else "")
        )
    return found


def _flavour(
    annotations: Sequence[Mapping[str, Any]], categories: Sequence[Mapping[str, Any]]
) -> Flavour:
    if any("frequency" in category for category in categories):
        return Flavour.LVIS
    if annotations and "segments_info" in annotations[0]:
        return Flavour.PANOPTIC
    if categories and all(category["id"] in STUFF for category in categories):
        return Flavour.STUFF
    return Flavour.COCO


def _stuff(flavour: Flavour, categories: Sequence[Mapping[str, Any]]) -> frozenset[int]:
    """The categories that are stuff; only panoptic files say so of each."""
    return frozenset(
        int(category["id"])
        for category in categories
        if flavour is Flavour.STUFF or not category.get("isthing", True)
    )


def _listed(image: Mapping[str, Any]) -> Listed:
    height, width = int(image["height"]), int(image["width"])
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise ValueError(f"picture {image['id']} has the size {width} x {height}")
    address = PurePosixPath(str(image.get("coco_url", "")))
    written = [str(image["file_name"])] if "file_name" in image else []
    written += ["/".join(address.parts[-2:]), address.name]
    written += [PurePosixPath(name).name for name in written]
    names = tuple(dict.fromkeys(name for name in written if _is_inside(name)))
    if not names:
        raise ValueError(f"picture {image['id']} has no file_name within its folder")
    return Listed(names, height, width)


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return bool(path.name) and not path.is_absolute() and ".." not in path.parts


def _by_picture(
    annotations: Iterable[Mapping[str, Any]], known: set[int], path: Path
) -> dict[int, list[Mapping[str, Any]]]:
    found: dict[int, list[Mapping[str, Any]]] = {}
    for annotation in annotations:
        picture = int(annotation["image_id"])
        if picture not in known:
            raise InvalidRequest(
                f"{path}: an annotation belongs to picture {picture}, which is not in images"
            )
        found.setdefault(picture, []).append(annotation)
    return found


def _roots(path: Path) -> list[Path]:
    """Folders in which pictures may lie, the likeliest first."""
    above = [path.parent]
    if path.parent.name.lower() in ANNOTATION_FOLDERS:
        above.append(path.parent.parent)
    below = [
        folder
        for root in above
        for folder in sorted(root.iterdir())
        if folder.is_dir() and folder not in above
    ]
    deeper = [
        folder
        for parent in below
        if parent.name.lower() in ("images", "image", "img")
        for folder in sorted(parent.iterdir())
        if folder.is_dir()
    ]
    return [*above, *below, *deeper]


def _find(picture: Listed, roots: Sequence[Path], known: dict[Path, frozenset[str]]) -> Path | None:
    """The first file that is there. Every folder is listed once, for there may be 100,000 files."""
    for name in picture.names:
        inner = PurePosixPath(name)
        for root in roots:
            folder = root / inner.parent
            if folder not in known:
                known[folder] = _listing(folder)
            if inner.name in known[folder]:
                return folder / inner.name
    return None


def _listing(folder: Path) -> frozenset[str]:
    return frozenset(entry.name for entry in folder.iterdir()) if folder.is_dir() else frozenset()
