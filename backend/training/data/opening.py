"""From paths on the command line to a source: what lies there is recognised by its content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.errors import InvalidRequest
from backend.training.data.coco import open_annotations
from backend.training.data.combined import Joined, without
from backend.training.data.folders import Folder, holds_pairs
from backend.training.data.sbd import Sbd
from backend.training.data.shards import Shards
from backend.training.data.source import Source

SHARD = ".tar"
ANNOTATIONS = ".json"
LIST = ".txt"

TRAINING_FILES = (
    "lvis*train*.json",
    "instances*train*.json",
    "stuff*train*.json",
    "panoptic*train*.json",
)
ANY_FILES = ("_annotations.coco.json", "lvis*.json", "instances*.json")
"""Annotation files by their usual names, those for training first: a folder often has others for
validation, captions and key points beside them."""


@dataclass(frozen=True)
class Layout:
    """What a folder may be: its name, how it is recognised, and its reader."""

    name: str
    fits: Callable[[Path], bool]
    read: Callable[[Path, int | None], Source]


def open_sources(
    paths: Sequence[Path], *, longest: int | None = None, verify: bool = False
) -> Source:
    """The pictures of all paths, one after the other.

    A path is a tar shard, a COCO or LVIS annotation file, or a folder of any of LAYOUTS. Annotation
    files, wherever they are named, are opened together: LVIS and COCO become their union. A text
    file takes pictures out: it names one a line, SOURCE/KEY (`Record.name`). `longest`
    limits the long side of the pictures in pixels. With `verify` shards are held against the
    checksums of the manifest beside them. Raises `InvalidRequest` for a path that is not there,
    holds no training data, or is not what its manifest says.
    """
    for path in paths:
        if not path.exists():
            raise InvalidRequest(f"{path} does not exist; name a folder or file of training data")
    shards = [path for path in paths if path.suffix == SHARD and path.is_file()]
    files = [path for path in paths if path.suffix == ANNOTATIONS and path.is_file()]
    sources: list[Source] = [Shards(shards, longest=longest)] if shards else []
    lists = [path for path in paths if path.suffix == LIST and path.is_file()]
    for path in paths:
        if path in (*shards, *files, *lists):
            continue
        found = _annotation_files(path)
        if found:
            files += found
        else:
            sources.append(_open(path, longest))
    sources += open_annotations(files, longest=longest)
    if verify:
        for source in sources:
            if isinstance(source, Shards):
                source.verify()
    source = sources[0] if len(sources) == 1 else Joined(sources)
    return _without(source, lists) if lists else source


def _without(source: Source, lists: Sequence[Path]) -> Source:
    names = {
        line.strip()
        for path in lists
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip()
    }
    left = without(source, names)
    if len(left) == len(source):
        raise InvalidRequest(
            f"{lists[0]} names no picture of the training data; it needs SOURCE/KEY on every line "
            f"(such as {source.record(0).name})"
        )
    return left


def _open(path: Path, longest: int | None) -> Source:
    if not path.is_dir():
        raise InvalidRequest(
            f"{path} is no training data; name a folder, a {SHARD} shard or an annotation file"
        )
    for layout in LAYOUTS:
        if layout.fits(path):
            return layout.read(path, longest)
    known = "; ".join(["COCO or LVIS annotation files", *(layout.name for layout in LAYOUTS)])
    raise InvalidRequest(f"{path} holds no training data of a known layout ({known})")


def _annotation_files(path: Path) -> list[Path]:
    """The annotation files for training of a folder and of its folder `annotations`."""
    if _shards_in(path):
        return []
    for patterns in (TRAINING_FILES, ANY_FILES):
        found = [
            file
            for folder in (path, path / "annotations")
            for pattern in patterns
            for file in sorted(folder.glob(pattern))
        ]
        if found:
            return found
    return []


def _shards_in(path: Path) -> list[Path]:
    return sorted(path.glob(f"*{SHARD}"))


def _ade(path: Path) -> tuple[Path, Path]:
    """ADE20K's folders of the scene-parsing challenge (Zhou et al., CVPR 2017)."""
    return path / "images" / "training", path / "annotations" / "training"


LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "tar shards with KEY.jpg, KEY.png, KEY.json",
        lambda path: bool(_shards_in(path)),
        lambda path, longest: Shards(_shards_in(path), longest=longest),
    ),
    Layout(
        "SBD with img/, inst/, train.txt",
        lambda path: (path / "img").is_dir() and (path / "inst").is_dir(),
        lambda path, longest: Sbd(path, longest=longest),
    ),
    Layout(
        "ADE20K with images/training/ and annotations/training/",
        lambda path: all(folder.is_dir() for folder in _ade(path)),
        lambda path, longest: Folder(path, folders=_ade(path), classes=True, longest=longest),
    ),
    Layout(
        "images/ and masks/ of the same names",
        holds_pairs,
        lambda path, longest: Folder(path, longest=longest),
    ),
)
"""Tried in this order."""
