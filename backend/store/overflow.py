"""Where rows wait that the database could not take: an append-only file of JSON lines.

Several processes may append to one file and take lines from it. What was taken stays on disk
until it has been written, so a crash in between costs nothing: rows are recognised by a unique
column, and writing one twice changes nothing.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

log = logging.getLogger(__name__)

LOCK_SECONDS = 1.0

Row = dict[str, Any]
"""Column names and values: texts, numbers, None, JSON values, bytes and aware datetimes."""


class Overflow:
    """The rows of one table that are still to be written, in the file `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(f"{path}.lock", timeout=LOCK_SECONDS)

    def append(self, *rows: Row) -> None:
        """Add rows; they are on the disk when this returns. Raises OSError and filelock.Timeout."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = (json.dumps(row, default=_encoded, separators=(",", ":")) for row in rows)
        with self._lock, self.path.open("ab") as file:
            # A line that was cut off by a crash must not swallow the next one.
            file.write(b"\n" + "\n".join(lines).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def __bool__(self) -> bool:
        """Whether any row waits."""
        return self.path.exists() or any(self._claims())

    def drain(self, write: Callable[[list[Row]], None]) -> int:
        """Hand all waiting rows to `write`, and forget them when it returns; their number.

        What `write` raises is raised, and the rows stay.
        """
        if self.path.exists():
            with self._lock:
                if self.path.exists():
                    self.path.rename(self.path.with_name(f"{self.path.name}.{uuid.uuid4().hex}"))
        count = 0
        for claim in sorted(self._claims()):
            rows = _rows(claim)
            write(rows)
            claim.unlink(missing_ok=True)
            count += len(rows)
        return count

    def _claims(self) -> Iterator[Path]:
        return self.path.parent.glob(f"{self.path.name}.{'[0-9a-f]' * 32}")


def _rows(path: Path) -> list[Row]:
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if line.strip():
            try:
                rows.append(json.loads(line, object_hook=_decoded))
            except ValueError as error:
                log.error("line %d of %s is damaged and was left out: %s", number, path, error)
    return rows


def _encoded(value: object) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"$base64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    raise TypeError(f"a {type(value).__name__} has no place in a row")


def _decoded(value: dict[str, Any]) -> Any:
    match value:
        case {"$base64": str(text)}:
            return base64.b64decode(text)
        case {"$time": str(text)}:
            return datetime.fromisoformat(text)
    return value
