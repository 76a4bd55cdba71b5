"""What waits for a background writer: bounded in number and in bytes."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Backlog(Generic[Item]):
    """A line of items between many threads that put and one that takes."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._items: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._taken = 0
        self._taken_bytes = 0
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: Item, nbytes: int) -> bool:
        """Add an item that holds `nbytes`; False, at once, where it is full or closed."""
        with self._changed:
            full = len(self._items) + self._taken >= self._most
            if self._closed or full or self._bytes + nbytes > self._most_bytes:
                return False
            self._items.append((item, nbytes))
            self._bytes += nbytes
            self._changed.notify_all()
            return True

    def take(self, most: int) -> list[Item]:
        """Wait for items and take up to `most`; [] when the backlog is closed and empty.

        They count as waiting until the next `done`.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed)
            count = min(most, len(self._items))
            taken = [self._items.popleft() for _ in range(count)]
            self._taken = count
            self._taken_bytes = sum(nbytes for _, nbytes in taken)
            return [item for item, _ in taken]

    def done(self) -> None:
        """What was taken last has been dealt with."""
        with self._changed:
            self._bytes -= self._taken_bytes
            self._taken = self._taken_bytes = 0
            self._changed.notify_all()

    def wait_until_empty(self, timeout: float | None) -> bool:
        """Wait until everything has been dealt with; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._items and not self._taken, timeout)

    def close(self) -> None:
        """Refuse new items; what waits may still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
