"""The journal of what the tools announce: written first, acted upon later."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from filelock import Timeout
from sqlalchemy.exc import DBAPIError

from backend.store.database import Database
from backend.store.overflow import Overflow, Row
from backend.store.tables import EventRow
from backend.store.writing import insert_new

log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class EventJournal:
    """Events of the tools, each kept once. Safe to use from many threads and processes.

    Where the database is locked or out of reach, events wait in a file under `data_dir` and go to
    the database with the next one; without `data_dir` that is the SQLite file's directory.
    """

    def __init__(
        self,
        database: Database,
        data_dir: Path | None = None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._database = database
        self._now = now
        directory = data_dir or (database.path.parent if database.path else None)
        self._overflow = Overflow(directory / "unwritten" / "events.jsonl") if directory else None

    def append(self, source: str, action: str, body: str, verified: bool) -> None:
        """Store an event; when this returns, it survives a crash and a power failure.

        `source` is the tool, `body` the JSON text as received, `verified` whether the sender
        proved who it is. The same event again changes nothing. Raises `sqlalchemy.exc.DBAPIError`
        or OSError where it could be stored nowhere.
        """
        row: Row = {
            "received": self._now(),
            "source": source,
            "action": action,
            "body": body,
            "digest": _digest(source, action, body),
            "verified": verified,
            "processed": None,
        }
        try:
            self._write([row])
        except DBAPIError as error:
            if self._overflow is None:
                raise
            log.warning("an event waits in %s: %s", self._overflow.path, error)
            self._overflow.append(row)
        else:
            if self._overflow:
                self._take_up(self._overflow)

    def _take_up(self, overflow: Overflow) -> None:
        try:
            overflow.drain(self._write)
        except (DBAPIError, OSError, Timeout) as error:
            log.warning("events still wait in %s: %s", overflow.path, error)

    def _write(self, rows: list[Row]) -> None:
        with self._database.begin_durable() as connection:
            insert_new(connection, EventRow, EventRow.digest, rows)


def _digest(*texts: str) -> str:
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "replace")
        digest.update(f"{len(data)}:".encode() + data)
    return digest.hexdigest()
