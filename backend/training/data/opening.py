"""From paths on the command line to a source: what lies there is recognised by its content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from backend.errors import InvalidRequest
from backend.training.data.combined import Joined
from backend.training.data.folders import Folder, holds_pairs
from backend.training.data.shards import Shards
from backend.training.data.source import Source

SHARD = ".tar"


@dataclass(frozen=True)
class Layout:
    """What a folder may be: its name, how it is recognised, and its reader."""

    name: str
    fits: Callable[[Path], bool]
    read: Callable[[Path, int | None], Source]


def open_sources(paths: Sequence[Path], *, longest: int | None = None) -> Source:
    """The pictures of all paths, one after the other.

    A path is a tar shard, a folder of shards, a COCO or LVIS annotation file, or a folder of any
    of LAYOUTS. `longest` limits the long side of the pictures in pixels. Raises `InvalidRequest`
    for a path that is not there or holds no training data.
    """
    sources: list[Source] = []
    shards = [path for path in paths if path.suffix == SHARD and path.is_file()]
    if shards:
        sources.append(Shards(shards, longest=longest))
    sources += [_open(path, longest) for path in paths if path not in shards]
    return sources[0] if len(sources) == 1 else Joined(sources)


def _open(path: Path, longest: int | None) -> Source:
    if not path.exists():
        raise InvalidRequest(f"{path} does not exist; name a folder or file of training data")
    if not path.is_dir():
        raise InvalidRequest(
            f"{path} is no training data; name a folder, a {SHARD} shard or an annotation file"
        )
    for layout in LAYOUTS:
        if layout.fits(path):
            return layout.read(path, longest)
    known = "; ".join(layout.name for layout in LAYOUTS)
    raise InvalidRequest(f"{path} holds no training data of a known layout ({known})")


def _shards_in(path: Path) -> list[Path]:
    return sorted(path.glob(f"*{SHARD}"))


LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "tar shards with KEY.jpg, KEY.png, KEY.json",
        lambda path: bool(_shards_in(path)),
        lambda path, longest: Shards(_shards_in(path), longest=longest),
    ),
    Layout(
        "images/ and masks/ of the same names",
        holds_pairs,
        lambda path, longest: Folder(path, longest=longest),
    ),
)
"""Tried in this order."""
