"""The interaction log: every request and its answer, from the first click on.

Clicks cannot be recovered later, and a click must not wait for a disk: `InteractionLog.record`
puts the interaction in line and returns, and one thread writes.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.exc import OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as NoConnectionInTime

from backend.settings import Settings
from backend.store.backlog import Backlog
from backend.store.database import Database
from backend.store.interactions import Interaction
from backend.store.overflow import Overflow, Row
from backend.store.picture_archive import PictureArchive
from backend.store.tables import InteractionRow
from backend.store.writing import insert_new

log = logging.getLogger(__name__)

MOST_WAITING = 10_000
MOST_WAITING_BYTES = 256 << 20
BATCH = 200
BUSY_SECONDS = 5.0
CLOSE_SECONDS = 15.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
RECENT_PICTURES = 4096


@dataclass(frozen=True)
class _Waiting:
    """An interaction in line, with its picture where that is to be kept."""

    interaction: Interaction
    picture: bytes | None

    @property
    def nbytes(self) -> int:
        mask = self.interaction.mask
        return (0 if mask is None else mask.crop.nbytes) + len(self.picture or b"")


class InteractionLog:
    """Writes interactions, and the pictures they belong to, in the background.

    What the database does not take (locked, out of reach, too slow) goes to a file under
    `data_dir` and from there to the database as soon as it answers, at the latest when the next
    log over that directory starts. `archive` None keeps no pictures. Safe to use from many
    threads; several processes may have a log over one database and directory.
    """

    def __init__(
        self,
        database: Database,
        data_dir: Path,
        archive: PictureArchive | None = None,
        most_waiting: int = MOST_WAITING,
        most_waiting_bytes: int = MOST_WAITING_BYTES,
    ) -> None:
        self._database = database
        self._archive = archive
        self._overflow = Overflow(data_dir / "unwritten" / "interactions.jsonl")
        self._refused = Overflow(data_dir / "unwritten" / "refused-interactions.jsonl")
        self._backlog: Backlog[_Waiting] = Backlog(most_waiting, most_waiting_bytes)
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._closing = threading.Event()
        self._starting = threading.Lock()
        self._given_up = False
        self._thread: threading.Thread | None = None

    @classmethod
    def of(cls, settings: Settings) -> InteractionLog:
        """The log of an installation. Raises InvalidSettings for an address of no use."""
        archive = None
        if settings.keep_pictures:
            url = settings.pictures_url or str(settings.data_dir / "pictures")
            archive = PictureArchive(url, settings.pictures_budget_bytes)
        return cls(Database(settings.database, BUSY_SECONDS), settings.data_dir, archive)

    def start(self) -> None:
        """Begin to write, first what an earlier process left; `record` does so by itself."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="interaction-log", daemon=True
                )
                self._thread.start()

    def record(self, interaction: Interaction, picture: bytes | None = None) -> None:
        """Put an interaction in line to be written. Never waits for the database, never raises.

        `picture` is the encoded picture as received, kept once per content.
        """
        try:
            self.start()
            item = _Waiting(interaction, self._wanted(interaction.image_id, picture))
            if not self._put(item):
                self._overflow.append(interaction.row())
        except Exception:
            log.exception("interaction %s is lost", interaction.request_id)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was recorded is written; False where `timeout` seconds ran out."""
        return self._backlog.wait_until_empty(timeout)

    def close(self) -> None:
        """Write what is left, to the database or else to the file, and stop."""
        self._closing.set()
        self._backlog.close()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)
            if self._thread.is_alive():
                log.error("the interaction log is still writing and was left behind")
        self._database.close()

    def _wanted(self, image_id: str, picture: bytes | None) -> bytes | None:
        """The picture, None where it is not kept or was lately handed to the writer."""
        if picture is None or self._archive is None or image_id in self._recent:
            return None
        return picture

    def _put(self, item: _Waiting) -> bool:
        if self._backlog.put(item, item.nbytes):
            if item.picture is not None:
                self._remember(item.interaction.image_id)
            return True
        if item.picture is None:
            return False
        # The picture comes again with the next click on it.
        item = replace(item, picture=None)
        return self._backlog.put(item, item.nbytes)

    def _remember(self, image_id: str) -> None:
        self._recent[image_id] = None
        if len(self._recent) > RECENT_PICTURES:
            self._recent.popitem(last=False)

    def _run(self) -> None:
        self._take_up_overflow()
        while items := self._backlog.take(BATCH):
            rows = []
            for item in items:
                self._keep_picture(item)
                try:
                    rows.append(item.interaction.row())
                except Exception:
                    log.exception("interaction %s is lost", item.interaction.request_id)
            try:
                self._write(rows)
            except Exception:
                log.exception("%d interactions are lost", len(rows))
            self._backlog.done()

    def _keep_picture(self, item: _Waiting) -> None:
        if self._archive is None or item.picture is None:
            return
        try:
            self._archive.keep(item.interaction.image_id, item.picture)
        except Exception as error:  # of whatever file system it is
            self._recent.pop(item.interaction.image_id, None)
            log.warning("picture %s is not kept: %s", item.interaction.image_id, error)

    def _write(self, rows: list[Row]) -> None:
        """Write rows to the database, or to the file where that cannot be."""
        try:
            if self._given_up or not self._insert_patiently(rows):
                self._given_up = True
                self._overflow.append(*rows)
                return
        except Exception as error:  # not the rows: those are refused one by one
            log.error("interactions wait in %s: %s", self._overflow.path, error)
            self._overflow.append(*rows)
            return
        if self._overflow:
            self._take_up_overflow()

    def _insert_patiently(self, rows: list[Row]) -> bool:
        """Insert rows, waiting for the database while the log is open; False if it was in vain."""
        pause = FIRST_PAUSE
        while True:
            try:
                self._insert(rows)
                return True
            except (OperationalError, NoConnectionInTime) as error:
                if self._closing.wait(pause):
                    log.warning("interactions wait in %s: %s", self._overflow.path, error)
                    return False
                pause = min(2 * pause, LONGEST_PAUSE)

    def _take_up_overflow(self) -> None:
        try:
            if count := self._overflow.drain(self._insert):
                log.info("wrote %d interactions that had waited", count)
        except Exception as error:
            log.warning("interactions still wait in %s: %s", self._overflow.path, error)

    def _insert(self, rows: list[Row]) -> None:
        """Insert rows; one that the database refuses for itself goes to a file of its own."""
        try:
            self._insert_together(rows)
        except OperationalError:
            raise
        except StatementError as error:
            if len(rows) == 1:
                log.error("interaction %s was refused: %s", rows[0].get("request_id"), error)
                self._refused.append(rows[0])
            else:
                for row in rows:
                    self._insert([row])

    def _insert_together(self, rows: list[Row]) -> None:
        with self._database.begin() as connection:
            insert_new(connection, InteractionRow, InteractionRow.request_id, rows)
