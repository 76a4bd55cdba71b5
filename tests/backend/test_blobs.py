"""Both kinds of store keep, find, hold and forget."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable

import pytest

from backend.blobs import ENTRY_BYTES, Blobs, MemoryBlobs, RedisBlobs
from backend.errors import QueueUnavailable
from backend.redis_connection import connect
from tests.backend.conftest import RedisServer


@pytest.fixture(params=["memory", "redis"])
def blobs(request: pytest.FixtureRequest) -> Blobs:
    if request.param == "memory":
        return MemoryBlobs(1 << 20)
    server: RedisServer = request.getfixturevalue("redis_server")
    return RedisBlobs(server.client(), f"{uuid.uuid4().hex}:", 60)


def test_what_is_put_is_found(blobs: Blobs) -> None:
    blobs.put("a", b"1")
    blobs.put("empty", b"")
    blobs.put("a", b"2")
    assert blobs.get("a") == b"2"
    assert blobs.get("empty") == b""
    assert blobs.get("b") is None
    assert blobs.many(["b", "a", "empty"]) == [None, b"2", b""]
    assert blobs.many([]) == []


def test_the_first_of_several_keys(blobs: Blobs) -> None:
    blobs.put("b", b"2")
    blobs.put("c", b"")
    assert blobs.first(["a", "b", "c"]) == (1, b"2")
    assert blobs.first(["c", "b"]) == (0, b"")
    assert blobs.first(["x", "y"]) is None
    assert blobs.first([]) is None


def test_content_is_kept_once(blobs: Blobs) -> None:
    blobs.keep("a", b"1")
    blobs.keep("a", b"never written: the same key means the same content")
    assert blobs.get("a") == b"1"
    with blobs.held("a", b"1"), blobs.held("b", b"2"):
        assert blobs.get("b") == b"2"


def budget(entries: int, size: int = 100) -> int:
    return entries * (1 + size + ENTRY_BYTES)


def test_memory_forgets_the_least_recently_used() -> None:
    blobs = MemoryBlobs(budget(3))
    for key in "abc":
        blobs.put(key, bytes(100))
    blobs.get("a")
    blobs.put("d", bytes(100))
    assert [key for key in "abcd" if blobs.get(key) is not None] == ["a", "c", "d"]
    assert blobs.nbytes == budget(3)
    blobs.put("a", bytes(10))
    assert blobs.nbytes == budget(2) + budget(1, 10)


def test_memory_keeps_what_is_held_over_any_budget() -> None:
    blobs = MemoryBlobs(budget(1))
    with blobs.held("a", bytes(100)):
        with blobs.held("a", bytes(100)):
            blobs.put("b", bytes(100))
            blobs.put("c", bytes(100))
        blobs.put("d", bytes(100))
        assert blobs.get("a") == bytes(100)
    assert blobs.nbytes <= budget(1)
    blobs.put("e", bytes(100))
    assert blobs.get("a") is None


def test_memory_does_not_keep_what_exceeds_the_budget() -> None:
    blobs = MemoryBlobs(budget(2))
    blobs.put("a", bytes(100))
    blobs.put("b", bytes(1000))
    assert (blobs.get("a"), blobs.get("b")) == (bytes(100), None)
    with blobs.held("c", bytes(1000)):
        assert blobs.get("c") == bytes(1000)
    blobs.put("a", bytes(100))
    blobs.put("a", bytes(1000))
    assert blobs.get("a") is None, "what it replaces goes, too"
    assert blobs.nbytes == 0


def test_memory_from_many_threads() -> None:
    blobs = MemoryBlobs(budget(20))

    def work(name: str) -> None:
        for number in range(300):
            blobs.put(f"{name}{number % 30}", bytes(99))
            blobs.first([f"{name}{number}", f"{name}{number % 7}"])

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = [blobs.get(f"{name}{number}") for name in "abcd" for number in range(30)]
    assert 0 < sum(data is not None for data in kept) <= 21
    assert blobs.nbytes <= budget(20)


def test_redis_forgets_after_a_time_that_each_use_renews(redis_server: RedisServer) -> None:
    client, prefix = redis_server.client(), f"{uuid.uuid4().hex}:"
    blobs = RedisBlobs(client, prefix, 100)

    def left(key: str) -> int:
        return int(client.ttl(prefix + key))

    def age(key: str) -> None:
        client.expire(prefix + key, 5)

    blobs.put("a", b"1")
    assert 5 < left("a") <= 100
    uses: list[Callable[[], object]] = [
        lambda: blobs.get("a"),
        lambda: blobs.first(["x", "a"]),
        lambda: blobs.keep("a", b"1"),
        lambda: blobs.put("a", b"1"),
    ]
    for use in uses:
        age("a")
        use()
        assert left("a") > 5


def test_a_redis_that_is_gone_is_named_without_its_password() -> None:
    blobs = RedisBlobs(connect("redis://:secret@127.0.0.1:1/0"), "x:", 10)
    for use in (
        lambda: blobs.get("a"),
        lambda: blobs.first(["a"]),
        lambda: blobs.many(["a"]),
        lambda: blobs.put("a", b""),
        lambda: blobs.keep("a", b""),
    ):
        with pytest.raises(QueueUnavailable, match=r"127\.0\.0\.1:1") as raised:
            use()
        assert "secret" not in raised.value.message
