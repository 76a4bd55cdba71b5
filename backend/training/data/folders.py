"""Folders of pictures and index masks, paired by their names up to the first dot.

The two lie in a folder each (`images/` and `masks/`, and what other sets call them), with the same
subfolders below, or side by side in one folder where the mask is a PNG beside a JPEG. A
`KEY.json` beside the mask may name `source`, `kind` and `objects`, as in a shard.

Masks hold ids, and their highest value (255, or 65535 in 16 bits) is to be ignored. A set whose
masks hold nothing but 0 and 255, or come as JPEG, is one of saliency masks: there 255 is the one
object.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from backend.errors import InvalidImage, InvalidRequest
from backend.evaluation.picture_files import EXTENSIONS, read_lines, stem
from backend.training.data.decoding import decode_ids, decode_rgb, read_bytes, same_size
from backend.training.data.shards import DESCRIPTION, described, fingerprint, objects_of
from backend.training.data.source import (
    BACKGROUND,
    IGNORE,
    Annotated,
    Kind,
    Layer,
    Record,
    Source,
)

PICTURE_FOLDERS = ("images", "image", "img", "imgs", "jpegimages", "photos", "-image", "-images")
MASK_FOLDERS = ("masks", "mask", "gt", "segmentationobject", "annotations", "labels", "-mask")
"""In lower case; "-mask" stands for every name that ends so, such as DUTS-TR-Mask."""

LISTS = ("train.txt", "ImageSets/Segmentation/train.txt")
"""Where a set may name the pictures to train on (PascalVOC); without it all of them are taken."""
LOSSY = frozenset({".jpg", ".jpeg"})

LOOKED_AT = 12
"""Masks that decide whether a set's masks are those of saliency."""

SMALLEST_REGION = 144
"""Pixels of the smallest connected piece of a class that counts as an object (12 x 12)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A picture's file, its mask's, and what is known of it."""

    image: Path
    mask: Path
    record: Record


class Folder(Source):
    """Pictures and masks of folder `root`. Raises `InvalidRequest` for one that holds none.

    `folders` are those of the pictures and of the masks, where their names do not say so. `name` is
    the source, by default the folder's name. `kind` overrides what is found. With `classes` the
    masks hold classes, not objects: they are cut into connected pieces, each of them an object of
    kind REGIONS, and smaller ones than SMALLEST_REGION are ignored.
    """

    def __init__(
        self,
        root: Path,
        *,
        folders: tuple[Path, Path] | None = None,
        name: str | None = None,
        kind: Kind | None = None,
        classes: bool = False,
        longest: int | None = None,
    ) -> None:
        found = _paired(root, *folders) if folders else _pairs(root)
        if not found:
            raise InvalidRequest(
                f"{root} holds no pictures with masks; pictures belong into {PICTURE_FOLDERS[0]}/, "
                f"index masks of the same names into {MASK_FOLDERS[0]}/"
            )
        self.root, self.longest, self.classes = root, longest, classes
        masks = [mask for _, mask in found.values()]
        self.binary = not classes and _all_binary(masks)
        usual = Kind.REGIONS if classes else Kind.SALIENT if self.binary else Kind.INSTANCES
        source = name or root.resolve().name
        self._pairs = [
            Pair(image, mask, _described(Record(key, source, kind or usual, 1), mask))
            for key, (image, mask) in found.items()
        ]

    def __len__(self) -> int:
        return len(self._pairs)

    def record(self, index: int) -> Record:
        """See `Source.record`."""
        return self._pairs[index].record

    def load(self, index: int) -> Annotated:
        """See `Source.load`."""
        pair = self._pairs[index]
        image = decode_rgb(read_bytes(pair.image), str(pair.image), self.longest)
        layer = same_size(self._layer(pair.mask), image, str(pair.mask))
        record = pair.record
        return Annotated(image, (layer,), objects_of(layer), record.kind, record.source, record.key)

    def fingerprint(self) -> str:
        """See `Source.fingerprint`."""
        return fingerprint([file for pair in self._pairs for file in (pair.image, pair.mask)])

    def _layer(self, path: Path) -> Layer:
        if self.binary:
            return _binary(path)
        layer = decode_ids(read_bytes(path), str(path))
        return connected(layer) if self.classes else layer


def connected(classes: Layer, smallest: int = SMALLEST_REGION) -> Layer:
    """Every 4-connected piece of a class with an id of its own; smaller pieces become IGNORE."""
    pieces = np.where(classes == IGNORE, np.int32(IGNORE), np.int32(BACKGROUND))
    last = 0
    for id_ in np.unique(classes[classes > BACKGROUND]).tolist():
        own = (classes == id_).view(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(own, connectivity=4)
        large = stats[:, cv2.CC_STAT_AREA] >= smallest
        large[0] = False
        ids = np.full(count, IGNORE, np.int32)
        ids[large] = last + 1 + np.arange(np.count_nonzero(large))
        last += int(np.count_nonzero(large))
        inside = labels > 0
        pieces[inside] = ids[labels[inside]]
    return pieces


def holds_pairs(root: Path) -> bool:
    """Whether the folder holds at least one picture with a mask."""
    return bool(_pairs(root))


def _pairs(root: Path) -> dict[str, tuple[Path, Path]]:
    """(picture, mask) by key, sorted by it."""
    pictures, masks = _folder(root, PICTURE_FOLDERS), _folder(root, MASK_FOLDERS)
    if pictures is None or masks is None:
        return _side_by_side(root)
    return _paired(root, pictures, masks)


def _folder(root: Path, names: tuple[str, ...]) -> Path | None:
    """The folder below `root` with one of these names, the first of them before the others."""
    folders = [path for path in sorted(root.iterdir()) if path.is_dir()]
    for name in names:
        for path in folders:
            low = path.name.lower()
            if low == name or (name[0] == "-" and low.endswith(name)):
                return path
    return None


def _paired(root: Path, pictures: Path, masks: Path) -> dict[str, tuple[Path, Path]]:
    by_key, masks_by_key = _by_key(pictures), _by_key(masks)
    wanted = _listed(root) or sorted(by_key)
    bare = [key for key in wanted if key not in by_key or key not in masks_by_key]
    if bare and len(bare) < len(wanted):
        raise InvalidRequest(
            f"{root}: {', '.join(bare[:3])} ({len(bare)} pictures in all) are not in both of "
            f"{pictures.name} and {masks.name}; complete the set, or take them out"
        )
    return {key: (by_key[key], masks_by_key[key]) for key in wanted if key not in bare}


def _listed(root: Path) -> list[str]:
    """The keys that the set's own list names; none without a list."""
    path = next((root / name for name in LISTS if (root / name).is_file()), None)
    return read_lines(path) if path else []


def _side_by_side(root: Path) -> dict[str, tuple[Path, Path]]:
    files = [path for path in sorted(root.iterdir()) if path.suffix.lower() in EXTENSIONS]
    pictures = {stem(path): path for path in files if path.suffix.lower() in LOSSY}
    masks = {stem(path): path for path in files if path.suffix.lower() == ".png"}
    return {key: (pictures[key], masks[key]) for key in pictures if key in masks}


def _by_key(root: Path) -> dict[str, Path]:
    """The picture files below a folder by their path without what follows the first dot."""
    return {
        str((path.parent / stem(path)).relative_to(root)): path for path in sorted(_pictures(root))
    }


def _pictures(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.suffix.lower() in EXTENSIONS)


def _described(record: Record, mask: Path) -> Record:
    path = mask.with_name(f"{stem(mask)}.{DESCRIPTION}")
    return described(record, path.read_bytes(), str(path)) if path.is_file() else record


def _all_binary(masks: list[Path]) -> bool:
    step = max(1, len(masks) // LOOKED_AT)
    return all(_is_binary(path) for path in masks[::step][:LOOKED_AT])


def _is_binary(path: Path) -> bool:
    if path.suffix.lower() in LOSSY:
        return True
    layer = decode_ids(read_bytes(path), str(path))
    return bool(((layer == BACKGROUND) | (layer == IGNORE)).all() and (layer == IGNORE).any())


def _binary(path: Path) -> Layer:
    """A grey mask with one object, which is what is brighter than 127."""
    grey = cv2.imdecode(np.frombuffer(read_bytes(path), np.uint8), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise InvalidImage(f"{path}: not a readable mask; fetch it again")
    return np.asarray(grey > 127, np.int32)
