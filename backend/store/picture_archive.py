"""The pictures that people clicked on, kept for training: one file each, named by its content."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from time import monotonic

from fsspec.core import url_to_fs

from backend.pictures import image_id as id_of

log = logging.getLogger(__name__)

RECOUNT_SECONDS = 600.0


class PictureArchive:
    """Encoded pictures as received, under `url` (a directory, or any address fsspec knows).

    The picture with the id abcdef... lies in `ab/abcdef...`. Nothing is ever deleted: where the
    files reach `budget` bytes in all, new pictures are not kept, and the log says so. Files may be
    deleted at any time by hand; how many bytes are there is counted anew every
    `RECOUNT_SECONDS`, and before the first refusal.
    """

    def __init__(self, url: str, budget: int, clock: Callable[[], float] = monotonic) -> None:
        self._files, self._root = url_to_fs(url, use_listings_cache=False)
        self._budget = budget
        self._clock = clock
        self._lock = threading.Lock()
        self._used = 0
        self._counted: float | None = None

    def keep(self, image_id: str, data: bytes) -> bool:
        """Keep a picture unless it is kept already; whether it is kept now.

        `image_id` is `backend.pictures.image_id(data)`. Raises OSError where the file cannot be
        written; a file is complete or absent.
        """
        path = self._path(image_id)
        with self._lock:
            if self._files.exists(path):
                return True
            if not self._fits(len(data)):
                return False
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            partial = f"{path}.{uuid.uuid4().hex}"
            self._files.pipe_file(partial, data)
            self._files.mv(partial, path)
            self._used += len(data)
        return True

    def get(self, image_id: str) -> bytes | None:
        """The picture with this id, None where it is not kept or its file was altered."""
        try:
            data: bytes = self._files.cat_file(self._path(image_id))
        except FileNotFoundError:
            return None
        return data if id_of(data) == image_id else None

    def _path(self, image_id: str) -> str:
        if len(image_id) != 64 or not set(image_id) <= set("0123456789abcdef"):
            raise ValueError(f"{image_id!r} is not the id of a picture")
        return f"{self._root}/{image_id[:2]}/{image_id}"

    def _fits(self, size: int) -> bool:
        now = self._clock()
        due = self._counted is None or now - self._counted >= RECOUNT_SECONDS
        if due:
            self._counted = now
            self._used = self._files.du(self._root) if self._files.exists(self._root) else 0
        fits = self._used + size <= self._budget
        if not fits and due:
            log.warning(
                "pictures are no longer kept for training: %d of %d bytes are used in %s; raise "
                "MASKLOOP_PICTURES_BUDGET_BYTES or delete some",
                self._used,
                self._budget,
                self._root,
            )
        return fits
