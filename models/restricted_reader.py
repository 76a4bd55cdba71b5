"""PyTorch files whose pickles hold objects of their authors' code, read without that code.

`torch.load(weights_only=True)` refuses such files, and with it off they run whatever they like.
Here the pickle goes through `models.pickle_machine`, which runs nothing: tensors come out as
descriptions, which are checked against the bytes that the file really has before any memory is
taken, and objects of a few known packages come out as None. Any other name, a function of the
standard library say, is refused.

Both forms of file are read: the zip archives of PyTorch 1.6 and later, and the older sequence of
pickles followed by raw storages.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from models.pickle_machine import (
    MOST_BYTES,
    Foreign,
    Global,
    Refused,
    Rules,
    shown,
    unpickled,
)
from models.plain_values import BoundedCopy, NotPlain

__all__ = ["PACKAGES", "Refused", "check", "read"]

PACKAGES = frozenset({"isegm", "ltr", "dlframework", "pytracking", "pysot_toolkit"})
"""Packages of the authors whose files are known: their objects are left out of what is read."""

LEFT_OUT = frozenset(
    {
        "_codecs.encode",
        "numpy.dtype",
        "numpy.ndarray",
        "numpy.core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "torch.device",
    }
)
"""Notes of training beside the weights, left out too. Nothing of these is ever called."""

DTYPES: Mapping[str, torch.dtype] = {
    "torch.DoubleStorage": torch.float64,
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
}

MOST_DIMENSIONS = 8
ZIP_MAGIC = b"PK\x03\x04"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
LEGACY_PICKLES = 5
"""Magic number, protocol, system, content, list of storages."""

COUNT_BYTES = 8


@dataclass(frozen=True, slots=True)
class _Storage:
    """Numbers somewhere in the file: `count` of one type."""

    key: str
    dtype: torch.dtype
    count: int

    @property
    def nbytes(self) -> int:
        return self.count * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class _View:
    """A tensor described: a part of a storage, of no more numbers than that has."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def read(path: str | Path) -> Any:
    """What a PyTorch file holds: tables, lists, numbers, texts and CPU tensors, else None.

    Raises Refused, whose message says what is wrong with the file ("it ..."), and OSError where
    it cannot be opened. Memory is bounded by the size of the file.
    """
    with Path(path).open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        start = file.read(len(ZIP_MAGIC))
        file.seek(0)
        content = _Content(size)
        with _damage_told():
            return content.of_archive(file) if start == ZIP_MAGIC else content.of_legacy(file)


def check(path: str | Path) -> None:
    """Raise Refused where the pickles of a file are of absurd size or build, whatever they name.

    `torch.load` guards what a pickle names, but not how long it runs, and tuples deep within
    tuples end the process where they are hashed. OSError where the file cannot be opened.
    """
    with Path(path).open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        data = file.read(2 * MOST_BYTES)
        if not data.startswith(ZIP_MAGIC):
            end = 0
            for _ in range(LEGACY_PICKLES):
                _, end = unpickled(data, _ANY_NAMES, end)
            return
        with _damage_told(), zipfile.ZipFile(file) as archive:
            entries = _entries(archive, size)
            # PyTorch finds its member whatever the case of its letters.
            pickles = [name for name in entries if name.lower().endswith("data.pkl")]
            if not pickles:
                raise Refused("it is a zip archive without a member called data.pkl")
            for name in pickles:
                unpickled(_member(archive, entries[name], MOST_BYTES), _ANY_NAMES)


@contextmanager
def _damage_told() -> Iterator[None]:
    """Damaged archives fail in the standard library in more ways than can be listed."""
    try:
        yield
    except Refused:
        raise
    except Exception as error:
        raise Refused(f"it is damaged: {str(error)[:120]}") from None


class _Content:
    """One file on its way to plain values."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.storages: dict[str, _Storage] = {}
        self.described = 0
        self.numbers: dict[str, Tensor] = {}
        self.rules = Rules(
            builders={
                "collections.OrderedDict": _empty_table,
                "easydict.EasyDict": _table,
                "__builtin__.set": _list,
                "builtins.set": _list,
                "torch.Size": _tuple,
                "torch._utils._rebuild_tensor_v2": _view,
                "torch._utils._rebuild_parameter": _parameter,
            },
            values=frozenset(DTYPES),
            is_foreign=lambda name: name in LEFT_OUT or name.partition(".")[0] in PACKAGES,
            persistent=self._persistent,
        )

    def of_archive(self, file: BinaryIO) -> Any:
        """The content of a zip archive with `data.pkl` and `data/KEY` in one folder."""
        with zipfile.ZipFile(file) as archive:
            entries = _entries(archive, self.size)
            pickles = [name for name in entries if name.rpartition("/")[2] == "data.pkl"]
            if len(pickles) != 1:
                raise Refused(f"it is a zip archive with {len(pickles)} members called data.pkl")
            folder = pickles[0].removesuffix("data.pkl")
            order = entries.get(f"{folder}byteorder")
            if order is not None and _member(archive, order, most=16) != b"little":
                raise Refused("its numbers are not in little-endian order")
            data = _member(archive, entries[pickles[0]], most=MOST_BYTES)
            value, _ = unpickled(data, self.rules)
            for storage in self.storages.values():
                entry = entries.get(f"{folder}data/{storage.key}")
                if entry is None or entry.file_size != storage.nbytes:
                    raise Refused(f"its member data/{shown(storage.key)} is missing or cut short")
                self._fill(storage, bytearray(_member(archive, entry, most=storage.nbytes)))
        return self._plain(value)

    def of_legacy(self, file: BinaryIO) -> Any:
        """The content of the form before PyTorch 1.6."""
        data = file.read(2 * MOST_BYTES)
        magic, end = unpickled(data, _NO_NAMES)
        if magic != LEGACY_MAGIC:
            raise Refused("it is no PyTorch file")
        protocol, end = unpickled(data, _NO_NAMES, end)
        system, end = unpickled(data, _NO_NAMES, end)
        little = isinstance(system, dict) and system.get("little_endian") is True
        if protocol != LEGACY_PROTOCOL or not little:
            raise Refused("it is a PyTorch file of another protocol or byte order")
        value, end = unpickled(data, self.rules, end)
        keys, end = unpickled(data, _NO_NAMES, end)
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise Refused("it is damaged: its list of storages is none")
        if len(keys) != len(set(keys)) or set(keys) != self.storages.keys():
            raise Refused("it is damaged: its storages are not those that its tensors use")
        file.seek(end)
        for key in keys:
            storage = self.storages[key]
            count = int.from_bytes(file.read(COUNT_BYTES), "little")
            numbers = bytearray(file.read(storage.nbytes))
            if count != storage.count or len(numbers) != storage.nbytes:
                raise Refused("it is damaged: a storage is cut short")
            self._fill(storage, numbers)
        return self._plain(value)

    def _persistent(self, identity: Any) -> _Storage | Global:
        """What a persistent id names: a storage, or a class beside its source text."""
        match identity:
            case ("module", Global() as named, *_):
                return named
        return self._storage(identity)

    def _storage(self, identity: Any) -> _Storage:
        """A storage. Raises Refused for what is none, and for one too large for the file."""
        match identity:
            case ("storage", Global(name), str(key), str(), int(count), *view) if (
                name in DTYPES and len(key) <= 64 and view in ([], [None])
            ):
                storage = _Storage(key, DTYPES[name], count)
            case _:
                raise Refused("it refers to something that is no storage")
        known = self.storages.get(key)
        if known is None:
            self.described += storage.nbytes
            if count < 0 or isinstance(count, bool) or self.described > self.size:
                raise Refused("it describes more numbers than it has bytes for")
            self.storages[key] = storage
        elif known != storage:
            raise Refused("it describes one storage in two ways")
        return storage

    def _fill(self, storage: _Storage, numbers: bytearray) -> None:
        empty = torch.empty(0, dtype=storage.dtype)
        self.numbers[storage.key] = (
            torch.frombuffer(numbers, dtype=storage.dtype) if numbers else empty
        )

    def _plain(self, value: Any) -> Any:
        """Tensors for their descriptions, and None for what is left out."""
        try:
            return BoundedCopy(self._leaf)(value)
        except NotPlain as error:
            raise Refused(str(error)) from None

    def _leaf(self, value: Any) -> Any:
        if isinstance(value, _View):
            numbers = self.numbers[value.storage.key]
            return numbers.as_strided(value.size, value.stride, value.offset)
        return None if isinstance(value, Foreign | Global | _Storage) else value


def _entries(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The members by name. Raises Refused for what PyTorch does not write: anything compressed,
    encrypted or twice there, or members that together are larger than the file.
    """
    members = archive.infolist()
    entries = {entry.filename: entry for entry in members}
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in members)
    if not stored or any(entry.flag_bits & 1 for entry in members):
        raise Refused("it is a compressed or encrypted archive")
    if len(entries) != len(members) or sum(entry.file_size for entry in members) > size:
        raise Refused("it is an archive with members that overlap")
    return entries


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    if entry.file_size > most:
        raise Refused(f"its member {shown(entry.filename)} is far too large")
    return archive.read(entry)


def _empty_table(args: tuple[Any, ...]) -> dict[str, Any]:
    if args:
        raise Refused("it makes a table in a way that is not known")
    return {}


def _table(args: tuple[Any, ...]) -> Any:
    if args and not (len(args) == 1 and isinstance(args[0], dict)):
        raise Refused("it makes a table in a way that is not known")
    return args[0] if args else {}


def _list(args: tuple[Any, ...]) -> Any:
    if args and not (len(args) == 1 and isinstance(args[0], list)):
        raise Refused("it makes a set in a way that is not known")
    return args[0] if args else []


def _tuple(args: tuple[Any, ...]) -> Any:
    if len(args) != 1 or not isinstance(args[0], tuple | list):
        raise Refused("it makes a size in a way that is not known")
    return args[0]


def _view(args: tuple[Any, ...]) -> _View:
    """A tensor's description. Raises Refused where it is not a part of its storage."""
    match args:
        case (_Storage() as storage, int(offset), tuple(size), tuple(stride), bool(), *_):
            dimensions = len(size)
        case _:
            raise Refused("it describes a tensor in a way that is not known")
    if dimensions != len(stride) or dimensions > MOST_DIMENSIONS:
        raise Refused("it describes a tensor of impossible shape")
    numbers = (offset, *size, *stride)
    if any(type(number) is not int or not 0 <= number < 1 << 48 for number in numbers):
        raise Refused("it describes a tensor of impossible shape")
    count = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if count > storage.count or (count and last >= storage.count) or offset > storage.count:
        raise Refused("it describes a tensor larger than its numbers")
    return _View(storage, offset, size, stride)


def _parameter(args: tuple[Any, ...]) -> _View:
    if len(args) != 3 or not isinstance(args[0], _View):
        raise Refused("it describes a parameter in a way that is not known")
    return args[0]


def _no_storage(_: Any) -> Any:
    raise Refused("it refers to a storage where there is none")


_NO_NAMES = Rules({}, frozenset(), lambda _: False, _no_storage)
"""For the pickles around the content: numbers, texts, lists and tables alone."""

_ANY_NAMES = Rules(
    {"collections.OrderedDict": _empty_table},
    frozenset(),
    lambda _: True,
    lambda _: Foreign("persistent"),
)
"""For a look at a pickle's build alone: all that it names comes to nothing."""
