"""Bytes under short keys, forgotten when they grow old: in this process's memory or in Redis."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from redis import Redis

from backend.redis_connection import answering, place_of

ENTRY_BYTES = 200
"""What one entry costs in memory beside its key and its bytes."""

FIRST = """
for index, key in ipairs(KEYS) do
    local data = redis.call('GETEX', key, 'EX', ARGV[1])
    if data then return {index, data} end
end
return false
"""


class Blobs(Protocol):
    """A store of bytes. Whatever is used stays longest; nothing is promised to stay.

    Safe to use from many threads. The Redis one raises QueueUnavailable.
    """

    def get(self, key: str) -> bytes | None:
        """The bytes under a key, None where there are none."""

    def first(self, keys: Sequence[str]) -> tuple[int, bytes] | None:
        """Index and bytes of the first key that has any, found in one round trip."""

    def many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The bytes under each key, in one round trip."""

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes under a key, in place of what was there."""

    def keep(self, key: str, data: bytes) -> None:
        """Keep bytes that are always the same under this key: they travel only if they are gone."""

    @contextmanager
    def held(self, key: str, data: bytes) -> Iterator[None]:
        """`keep` bytes that must stay for as long as the block runs."""


class MemoryBlobs:
    """Blobs in memory, the least recently used forgotten beyond a budget of bytes.

    What is held counts against the budget and yet stays: the work at hand needs it.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._entries: OrderedDict[str, bytes] = OrderedDict()
        self._held: Counter[str] = Counter()
        self._nbytes = 0
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """What all entries cost."""
        return self._nbytes

    def get(self, key: str) -> bytes | None:
        """See `Blobs`."""
        with self._lock:
            return self._used(key)

    def first(self, keys: Sequence[str]) -> tuple[int, bytes] | None:
        """See `Blobs`."""
        with self._lock:
            for index, key in enumerate(keys):
                data = self._used(key)
                if data is not None:
                    return index, data
        return None

    def many(self, keys: Sequence[str]) -> list[bytes | None]:
        """See `Blobs`."""
        with self._lock:
            return [self._used(key) for key in keys]

    def put(self, key: str, data: bytes) -> None:
        """See `Blobs`."""
        with self._lock:
            self._put(key, data)

    def keep(self, key: str, data: bytes) -> None:
        """See `Blobs`."""
        with self._lock:
            if self._used(key) is None:
                self._put(key, data)

    @contextmanager
    def held(self, key: str, data: bytes) -> Iterator[None]:
        """See `Blobs`."""
        with self._lock:
            self._held[key] += 1
            if self._used(key) is None:
                self._put(key, data)
        try:
            yield
        finally:
            with self._lock:
                self._held[key] -= 1
                if not self._held[key]:
                    del self._held[key]
                    self._evict()

    def _used(self, key: str) -> bytes | None:
        data = self._entries.get(key)
        if data is not None:
            self._entries.move_to_end(key)
        return data

    def _put(self, key: str, data: bytes) -> None:
        self._drop(key)
        if _cost(key, data) > self._budget and key not in self._held:
            return  # it would drive everything else out, and then go itself
        self._entries[key] = data
        self._nbytes += _cost(key, data)
        self._evict()

    def _drop(self, key: str) -> None:
        data = self._entries.pop(key, None)
        if data is not None:
            self._nbytes -= _cost(key, data)

    def _evict(self) -> None:
        excess = self._nbytes - self._budget
        oldest = []
        for key, data in self._entries.items():
            if excess <= 0:
                break
            if key not in self._held:
                oldest.append(key)
                excess -= _cost(key, data)
        for key in oldest:
            self._drop(key)


class RedisBlobs:
    """Blobs in Redis under `prefix`, forgotten `seconds` after their last use."""

    def __init__(self, client: Redis, prefix: str, seconds: int) -> None:
        # Commands are typed for every kind of client at once, which says nothing about this one.
        self._client: Any = client
        self._place = place_of(client)
        self._prefix = prefix
        self._seconds = seconds

    def get(self, key: str) -> bytes | None:
        """See `Blobs`."""
        with answering(self._place):
            data: bytes | None = self._client.getex(self._prefix + key, ex=self._seconds)
            return data

    def first(self, keys: Sequence[str]) -> tuple[int, bytes] | None:
        """See `Blobs`."""
        if not keys:
            return None
        names = [self._prefix + key for key in keys]
        with answering(self._place):
            found = self._client.eval(FIRST, len(names), *names, self._seconds)
        return None if not found else (int(found[0]) - 1, found[1])

    def many(self, keys: Sequence[str]) -> list[bytes | None]:
        """See `Blobs`. Does not count as a use: it asks for far more keys than there are."""
        if not keys:
            return []
        with answering(self._place):
            found: list[bytes | None] = self._client.mget([self._prefix + key for key in keys])
            return found

    def put(self, key: str, data: bytes) -> None:
        """See `Blobs`."""
        with answering(self._place):
            self._client.set(self._prefix + key, data, ex=self._seconds)

    def keep(self, key: str, data: bytes) -> None:
        """See `Blobs`."""
        with answering(self._place):
            if not self._client.expire(self._prefix + key, self._seconds):
                self._client.set(self._prefix + key, data, ex=self._seconds)

    @contextmanager
    def held(self, key: str, data: bytes) -> Iterator[None]:
        """See `Blobs`. `seconds` must be longer than any deadline."""
        self.keep(key, data)
        yield


def _cost(key: str, data: bytes) -> int:
    return len(key) + len(data) + ENTRY_BYTES
