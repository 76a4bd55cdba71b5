from __future__ import annotations

import threading

import pytest

from backend.frontends.label_studio.recent import RecentPictures
from tests.backend.frontends.label_studio.stand_in import ticking


def counted(data: bytes, calls: list[bytes]) -> bytes:
    calls.append(data)
    return data


def test_a_picture_is_fetched_once_within_its_time() -> None:
    clock, move = ticking()
    recent = RecentPictures(100, seconds=60, clock=clock)
    calls: list[bytes] = []
    for _ in range(2):
        assert recent.get("a", lambda: counted(b"picture", calls)) == b"picture"
    move(59)
    recent.get("a", lambda: counted(b"picture", calls))
    assert len(calls) == 1
    move(1)
    assert recent.get("a", lambda: counted(b"newer", calls)) == b"newer"


def test_the_least_recently_used_goes_beyond_the_budget() -> None:
    recent = RecentPictures(100)
    calls: list[bytes] = []
    for key in "abaca":
        recent.get(key, lambda: counted(b"x" * 40, calls))
    assert len(calls) == 3
    recent.get("b", lambda: counted(b"x" * 40, calls))
    assert len(calls) == 4


def test_what_exceeds_the_budget_is_not_kept() -> None:
    recent = RecentPictures(100)
    calls: list[bytes] = []
    recent.get("small", lambda: counted(b"x" * 100, calls))
    for _ in range(2):
        recent.get("large", lambda: counted(b"x" * 101, calls))
    recent.get("small", lambda: counted(b"x" * 100, calls))
    assert len(calls) == 3


def test_a_failure_is_not_remembered() -> None:
    recent = RecentPictures(100)

    def fail() -> bytes:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        recent.get("a", fail)
    assert recent.get("a", lambda: b"back") == b"back"


def test_two_clicks_at_once_wait_for_one_download() -> None:
    recent = RecentPictures(100)
    calls: list[bytes] = []
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> bytes:
        begun.set()
        go_on.wait(10)
        return counted(b"picture", calls)

    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(recent.get("a", slow))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    begun.wait(10)
    go_on.set()
    for thread in threads:
        thread.join()
    assert found == [b"picture"] * 4
    assert len(calls) == 1
