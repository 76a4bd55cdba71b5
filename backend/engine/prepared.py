"""Prepared pictures, made once and shared by all objects of a picture, under a byte budget."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

from models.segmenter import Prepared

MAX_KNOWN = 4096
"""How many image ids are remembered with their picture ids: a few hundred bytes each."""


class PreparedPictures:
    """Prepared pictures by (picture id, model version), the least recently used dropped first.

    Requests know a picture by the hash of its received bytes, the cache by the hash of its
    pixels: the same picture in two encodings is prepared once. One larger than the whole budget
    is used and not kept.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._prepared: OrderedDict[tuple[str, str], Prepared] = OrderedDict()
        self._known: OrderedDict[str, str] = OrderedDict()
        self._making: dict[tuple[str, str], Future[Prepared]] = {}
        self._nbytes = 0
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """What the kept ones cost, by their own account."""
        return self._nbytes

    def get(self, image_id: str, version: str, make: Callable[[], Prepared]) -> Prepared:
        """The prepared picture of an image for a model version; `make` is called where it is
        missing. Whoever asks while it is being made waits for that one, and gets its error.
        """
        key = image_id, version
        with self._lock:
            prepared = self._find(image_id, version)
            if prepared is not None:
                return prepared
            future = self._making.get(key)
            if future is None:
                mine: Future[Prepared] = Future()
                self._making[key] = mine
        if future is not None:
            return future.result()
        try:
            prepared = make()
        except BaseException as error:
            with self._lock:
                del self._making[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._making[key]
            self._keep(image_id, version, prepared)
        mine.set_result(prepared)
        return prepared

    def find(self, picture_id: str, version: str) -> Prepared | None:
        """The prepared picture with this picture id, if it is kept."""
        with self._lock:
            return self._used(picture_id, version)

    def clear(self) -> None:
        """Drop them all; those in use live on until their users let go."""
        with self._lock:
            self._prepared.clear()
            self._nbytes = 0

    def _find(self, image_id: str, version: str) -> Prepared | None:
        picture_id = self._known.get(image_id)
        if picture_id is None:
            return None
        self._known.move_to_end(image_id)
        return self._used(picture_id, version)

    def _used(self, picture_id: str, version: str) -> Prepared | None:
        prepared = self._prepared.get((picture_id, version))
        if prepared is not None:
            self._prepared.move_to_end((picture_id, version))
        return prepared

    def _keep(self, image_id: str, version: str, prepared: Prepared) -> None:
        self._known[image_id] = prepared.picture
        self._known.move_to_end(image_id)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        key = prepared.picture, version
        if key in self._prepared or prepared.nbytes > self._budget:
            return
        self._prepared[key] = prepared
        self._nbytes += prepared.nbytes
        while self._nbytes > self._budget:
            _, dropped = self._prepared.popitem(last=False)
            self._nbytes -= dropped.nbytes
