"""PyTorch files made byte by byte, as a hostile author would make them."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import types
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

FORMS = ("zip", "legacy")


@contextmanager
def authors_code(**bases: type) -> Iterator[dict[str, type]]:
    """Classes of packages that are not installed, importable meanwhile as their files need it.

    A keyword is a path with `__` for dots and the value the class's base; yields the classes by
    their last name.
    """
    classes: dict[str, type] = {}
    modules: set[str] = set()
    for path, base in bases.items():
        *module, name = path.split("__")
        packages = {".".join(module[: end + 1]) for end in range(len(module))}
        modules |= packages
        for package in packages:
            sys.modules.setdefault(package, types.ModuleType(package))
        classes[name] = type(name, (base,), {"__module__": ".".join(module)})
        setattr(sys.modules[".".join(module)], name, classes[name])
    try:
        yield classes
    finally:
        for module_name in modules:
            del sys.modules[module_name]


LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


def written(
    form: str, path: Path, content: bytes, storages: Mapping[str, Any] | None = None
) -> Path:
    """A file of either form around a pickle; `storages` are arrays by key."""
    arrays = {key: np.asarray(array) for key, array in (storages or {}).items()}
    data = zipped(content, arrays) if form == "zip" else sequence(content, arrays)
    path.write_bytes(data)
    return path


def zipped(
    content: bytes, arrays: Mapping[str, Any], more: Sequence[tuple[str, bytes]] = ()
) -> bytes:
    """The archive that PyTorch writes today."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("net/data.pkl", content)
        archive.writestr("net/version", "3\n")
        archive.writestr("net/byteorder", "little")
        for key, array in arrays.items():
            archive.writestr(f"net/data/{key}", array.tobytes())
        for name, data in more:
            archive.writestr(name, data)
    return buffer.getvalue()


def sequence(content: bytes, arrays: Mapping[str, Any], keys: object = None) -> bytes:
    """The sequence of pickles and storages that PyTorch wrote before 1.6.

    A storage's identity ends with a view there, which is always None.
    """
    content = content.replace(b"tQ", b"NtQ")
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    pickles = [LEGACY_MAGIC, 1001, system]
    parts = [pickle.dumps(value, protocol=2) for value in pickles]
    parts += [content, pickle.dumps(list(arrays) if keys is None else keys, protocol=2)]
    parts += [struct.pack("<q", array.size) + array.tobytes() for array in arrays.values()]
    return b"".join(parts)


def storage(key: str = "0", count: int = 6, kind: str = "FloatStorage") -> bytes:
    """Operations that leave a storage on the stack."""
    return (
        b"("
        + text("storage")
        + b"ctorch\n"
        + kind.encode()
        + b"\n"
        + text(key)
        + text("cpu")
        + number(count)
        + b"tQ"
    )


def tensor(
    of: bytes, size: Sequence[int], stride: Sequence[int], offset: int = 0, hooks: bytes = b"}"
) -> bytes:
    """Operations that leave a tensor on the stack."""
    arguments = of + number(offset) + numbers(size) + numbers(stride) + b"\x89" + hooks
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def text(value: str) -> bytes:
    """Operations that leave a text on the stack."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    """Operations that leave an integer on the stack."""
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def numbers(values: Sequence[int]) -> bytes:
    """Operations that leave a tuple of integers on the stack."""
    return b"(" + b"".join(number(value) for value in values) + b"t"


def table(**entries: bytes) -> bytes:
    """Operations that leave a table on the stack."""
    return b"}(" + b"".join(text(key) + value for key, value in entries.items()) + b"u"


def program(operations: bytes) -> bytes:
    """A whole pickle."""
    return b"\x80\x02" + operations + b"."
