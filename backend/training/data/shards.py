"""Tar shards in the webdataset convention, read at random without unpacking.

A sample is the members that share a name up to its first dot: `KEY.jpg` (or jpeg, webp), `KEY.png`
(index mask: 0 background, ids, the highest value is to be ignored) and, optionally, `KEY.json`
with `source`, `kind` and `objects` (their number or a list). The headers are read once; a picture
is then one positioned read, which many processes can do at the same time.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from backend.errors import InvalidImage, InvalidRequest
from backend.training.data.decoding import decode_ids, decode_rgb, same_size
from backend.training.data.source import (
    Annotated,
    Kind,
    Layer,
    ObjectRef,
    Record,
    Source,
    pixels_of_ids,
)

PICTURES = frozenset({"jpg", "jpeg", "webp"})
MASK = "png"
DESCRIPTION = "json"

MAX_MEMBER = 1 << 28
MAX_DESCRIPTION = 1 << 20
"""Bytes of a member; more is a mistake or an attack."""

MANIFEST = "manifest.json"

MOST_OPEN = 128
"""Shards that a process keeps open; the usual limit is 1,024 files of all kinds."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a member's bytes lie in its shard."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One sample of a shard."""

    shard: int
    image: Place
    mask: Place
    record: Record


class Shards(Source):
    """The samples of tar shards, in the order of the shards and of their members.

    `name` is the source of samples whose description names none. `longest` limits the long side of
    the pictures in pixels. Raises `InvalidRequest` for a shard that is damaged or incomplete.
    """

    def __init__(
        self, paths: Sequence[Path], name: str | None = None, longest: int | None = None
    ) -> None:
        self.paths = tuple(paths)
        self.longest = longest
        self._entries: list[Entry] = []
        for number, path in enumerate(self.paths):
            self._entries += _entries(number, path, name or path.parent.resolve().name)
        if not self._entries:
            raise InvalidRequest(f"{self.paths[0]} holds no picture with a mask")
        self._open: dict[int, io.FileIO] = {}

    def __getstate__(self) -> dict[str, Any]:
        """A copy in another process opens the shards anew."""
        return {**self.__dict__, "_open": {}}

    def __len__(self) -> int:
        return len(self._entries)

    def record(self, index: int) -> Record:
        """See `Source.record`."""
        return self._entries[index].record

    def load(self, index: int) -> Annotated:
        """See `Source.load`."""
        entry = self._entries[index]
        name = f"{self.paths[entry.shard]}: {entry.record.key}"
        image = decode_rgb(self.image_bytes(index), f"{name} (picture)", self.longest)
        layer = decode_ids(self.mask_bytes(index), f"{name} (mask)")
        layer = same_size(layer, image, name)
        record = entry.record
        return Annotated(image, (layer,), objects_of(layer), record.kind, record.source, record.key)

    def image_bytes(self, index: int) -> bytes:
        """The encoded picture as it lies in the shard."""
        return self._read(self._entries[index].shard, self._entries[index].image)

    def mask_bytes(self, index: int) -> bytes:
        """The encoded index mask as it lies in the shard."""
        return self._read(self._entries[index].shard, self._entries[index].mask)

    def fingerprint(self) -> str:
        """See `Source.fingerprint`."""
        return fingerprint(self.paths)

    def verify(self) -> tuple[str, ...]:
        """Hold every shard against the sha256 that the `manifest.json` beside it lists.

        Gives the names of the shards for which no checksum is known. Raises `InvalidRequest` for
        a shard whose content is another one.
        """
        unknown = []
        for path in self.paths:
            wanted = _checksums(path.parent).get(path.name)
            if wanted is None:
                unknown.append(path.name)
            elif (found := _sha256(path)) != wanted:
                raise InvalidRequest(
                    f"{path} has the sha256 {found[:12]}..., but {MANIFEST} beside it says "
                    f"{wanted[:12]}...; fetch the shard again"
                )
        return tuple(unknown)

    def _read(self, shard: int, place: Place) -> bytes:
        """Positioned reads share no position, so copies of a handle in forked processes do no
        harm.
        """
        path = self.paths[shard]
        try:
            file = self._open.get(shard)
            if file is None:
                if len(self._open) >= MOST_OPEN:
                    self._open.pop(next(iter(self._open)))
                file = self._open[shard] = io.FileIO(path)
            data = os.pread(file.fileno(), place.size, place.offset)
        except OSError as error:
            raise InvalidImage(f"{path} cannot be read ({error.strerror})") from error
        if len(data) < place.size:
            raise InvalidImage(f"{path} became shorter since it was opened; fetch it again")
        return data


def objects_of(layer: Layer) -> tuple[ObjectRef, ...]:
    """Every id of a single layer as an object of its own."""
    present = np.flatnonzero(pixels_of_ids(layer))
    return tuple(ObjectRef(0, id_) for id_ in present.tolist() if id_ > 0)


def fingerprint(paths: Sequence[Path]) -> str:
    """Hex sha256 of the names and sizes of files, in order of their names."""
    digest = hashlib.sha256()
    for name, size in sorted((path.name, path.stat().st_size) for path in paths):
        digest.update(f"{name}\0{size}\n".encode())
    return digest.hexdigest()


def _entries(number: int, path: Path, name: str) -> list[Entry]:
    try:
        with tarfile.open(path, "r:") as archive:
            samples = _samples(archive, path)
            _check_end(archive, path)
            return [
                Entry(
                    number,
                    _place(_picture(key, members, path), path),
                    _place(_mask(key, members, path), path),
                    _record(archive, key, members.get(DESCRIPTION), path, name),
                )
                for key, members in samples.items()
            ]
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise InvalidRequest(
            f"{path} is not a readable tar shard ({error}); shards are uncompressed tar files: "
            "unpack a .tar.gz once, or fetch the shard again"
        ) from error


def _samples(archive: tarfile.TarFile, path: Path) -> dict[str, dict[str, tarfile.TarInfo]]:
    """The members of each key by what follows the first dot of their names."""
    samples: dict[str, dict[str, tarfile.TarInfo]] = {}
    for member in _files(archive, path):
        folder, _, name = member.name.rpartition("/")
        stem, _, extension = name.partition(".")
        key = f"{folder}/{stem}" if folder else stem
        members = samples.setdefault(key, {})
        if extension.lower() in members:
            raise InvalidRequest(f"{path}: the member {member.name!r} occurs twice")
        members[extension.lower()] = member
    return samples


def _files(archive: tarfile.TarFile, path: Path) -> Iterator[tarfile.TarInfo]:
    for member in archive:
        if member.isdir():
            continue
        if not member.isreg() or member.issparse():
            raise InvalidRequest(
                f"{path}: the member {member.name!r} is a link or a special file; shards hold "
                "plain files"
            )
        if member.size > MAX_MEMBER:
            raise InvalidRequest(
                f"{path}: the member {member.name!r} has {member.size} bytes, more than the limit "
                f"of {MAX_MEMBER}"
            )
        yield member


def _check_end(archive: tarfile.TarFile, path: Path) -> None:
    """A damaged header ends the archive for `tarfile`; only zeros are its real end."""
    with path.open("rb") as file:
        file.seek(archive.offset)
        tail = file.read(tarfile.BLOCKSIZE)
    if len(tail) < tarfile.BLOCKSIZE or any(tail):
        raise InvalidRequest(
            f"{path} breaks off or is damaged at byte {archive.offset}; fetch it again"
        )


def _picture(key: str, members: Mapping[str, tarfile.TarInfo], path: Path) -> tarfile.TarInfo:
    found = [members[extension] for extension in PICTURES & members.keys()]
    if len(found) != 1:
        raise InvalidRequest(
            f"{path}: {key} has {len(found)} pictures; a sample needs one of "
            f"{', '.join(f'{key}.{extension}' for extension in sorted(PICTURES))}"
        )
    return found[0]


def _mask(key: str, members: Mapping[str, tarfile.TarInfo], path: Path) -> tarfile.TarInfo:
    if MASK not in members:
        raise InvalidRequest(f"{path}: {key} has no index mask; a sample needs {key}.{MASK}")
    return members[MASK]


def _place(member: tarfile.TarInfo, path: Path) -> Place:
    if member.offset_data + member.size > path.stat().st_size:
        raise InvalidRequest(f"{path} breaks off within {member.name!r}; fetch it again")
    return Place(member.offset_data, member.size)


def _record(
    archive: tarfile.TarFile, key: str, member: tarfile.TarInfo | None, path: Path, name: str
) -> Record:
    record = Record(key, name, Kind.INSTANCES, 1)
    if member is None:
        return record
    if member.size > MAX_DESCRIPTION:
        raise InvalidRequest(f"{path}: {member.name!r} has {member.size} bytes, too many")
    file = archive.extractfile(member)
    return described(record, file.read() if file else b"", f"{path}: {member.name}")


def described(record: Record, text: bytes, name: str) -> Record:
    """The record with what a description says: JSON with `source`, `kind`, `objects`, all optional.

    Raises `InvalidRequest`, naming the description `name`, for anything else.
    """
    try:
        described = json.loads(text)
        source = described.get("source", record.source)
        objects = described.get("objects", record.objects)
        kind = Kind(described.get("kind", record.kind))
    except (ValueError, AttributeError, RecursionError) as error:
        kinds = ", ".join(Kind)
        raise InvalidRequest(
            f"{name} is not a description of a sample ({error}); it is JSON with source, kind "
            f"(one of {kinds}) and objects"
        ) from error
    count = len(objects) if isinstance(objects, list) else objects
    if type(count) is not int or not isinstance(source, str):
        raise InvalidRequest(f"{name}: source must be text, objects a number or a list")
    return replace(record, source=source, kind=kind, objects=max(1, count))


def _checksums(folder: Path) -> dict[str, str]:
    """The sha256 of the shards by file name, as the folder's manifest lists them."""
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    try:
        shards = json.loads(path.read_text(encoding="utf-8")).get("shards", [])
        return {str(shard["file"]): str(shard["sha256"]) for shard in shards}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidRequest(f"{path} is not a manifest of shards ({error!r})") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
