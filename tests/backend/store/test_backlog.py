"""A bounded line between many threads and one."""

from __future__ import annotations

import threading

from backend.store.backlog import Backlog


def test_items_come_in_order_and_in_batches() -> None:
    backlog: Backlog[int] = Backlog(10, 100)
    assert all(backlog.put(number, 1) for number in range(5))
    assert backlog.take(3) == [0, 1, 2]
    backlog.done()
    assert backlog.take(3) == [3, 4]


def test_it_is_bounded_in_number_until_what_was_taken_is_done() -> None:
    backlog: Backlog[int] = Backlog(2, 100)
    assert backlog.put(1, 1)
    assert backlog.put(2, 1)
    assert not backlog.put(3, 1)
    assert backlog.take(1) == [1]
    assert not backlog.put(3, 1)
    backlog.done()
    assert backlog.put(3, 1)


def test_it_is_bounded_in_bytes() -> None:
    backlog: Backlog[str] = Backlog(100, 10)
    assert backlog.put("a", 6)
    assert not backlog.put("b", 5)
    assert backlog.put("c", 4)
    backlog.take(1)
    assert not backlog.put("b", 5)
    backlog.done()
    assert backlog.put("b", 5)


def test_waiting_until_empty_waits_for_what_was_taken() -> None:
    backlog: Backlog[int] = Backlog(10, 100)
    assert backlog.wait_until_empty(0)
    backlog.put(1, 1)
    assert not backlog.wait_until_empty(0)
    backlog.take(1)
    assert not backlog.wait_until_empty(0)
    threading.Timer(0.05, backlog.done).start()
    assert backlog.wait_until_empty(30)


def test_closing_lets_the_rest_out_and_nothing_in() -> None:
    backlog: Backlog[int] = Backlog(10, 100)
    backlog.put(1, 1)
    backlog.close()
    assert not backlog.put(2, 1)
    assert backlog.take(5) == [1]
    backlog.done()
    assert backlog.take(5) == []


def test_closing_wakes_who_waits() -> None:
    backlog: Backlog[int] = Backlog(10, 100)
    threading.Timer(0.05, backlog.close).start()
    assert backlog.take(1) == []
