"""Pictures fetched a moment ago, so that the next click does not download them again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

KEPT_SECONDS = 600.0


class RecentPictures:
    """Encoded pictures under a byte budget and for a limited time; safe for many threads.

    Several requests for one picture wait for one download. A failure is not remembered.
    """

    def __init__(
        self,
        budget: int,
        seconds: float = KEPT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._budget = budget
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[bytes, float]] = OrderedDict()
        self._bytes = 0
        self._fetching: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, fetch: Callable[[], bytes]) -> bytes:
        """The picture under this key, from `fetch` where it is not kept. Raises what that does."""
        if (kept := self._look(key)) is not None:
            return kept
        with self._lock:
            turn = self._fetching.setdefault(key, threading.Lock())
        with turn:
            try:
                if (kept := self._look(key)) is not None:
                    return kept
                data = fetch()
                self._keep(key, data)
                return data
            finally:
                with self._lock:
                    self._fetching.pop(key, None)

    def _look(self, key: Hashable) -> bytes | None:
        with self._lock:
            self._drop_old()
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def _keep(self, key: Hashable, data: bytes) -> None:
        with self._lock:
            if len(data) > self._budget:
                return
            self._kept[key] = (data, self._clock() + self._seconds)
            self._bytes += len(data)
            while self._bytes > self._budget:
                self._forget(next(iter(self._kept)))

    def _drop_old(self) -> None:
        now = self._clock()
        for key in [key for key, (_, end) in self._kept.items() if end <= now]:
            self._forget(key)

    def _forget(self, key: Hashable) -> None:
        data, _ = self._kept.pop(key)
        self._bytes -= len(data)
