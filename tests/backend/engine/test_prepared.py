"""Prepared pictures: made once, shared, and dropped when their budget is spent."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.engine.prepared import PreparedPictures
from models.segmenter import Prepared


class Maker:
    """Prepares a picture of a name, and counts how often."""

    def __init__(self, cache: PreparedPictures) -> None:
        self.cache = cache
        self.made: list[str] = []

    def __call__(self, image: str, version: str = "v", nbytes: int = 100) -> Prepared:
        def make() -> Prepared:
            self.made.append(image)
            return Prepared(f"pixels of {image[0]}", (1, 1), nbytes)

        return self.cache.get(image, version, make)


def test_the_least_recently_used_is_dropped_beyond_the_budget() -> None:
    ask = Maker(PreparedPictures(300))
    for image in "abc":
        ask(image)
    ask("a")
    ask("d")
    assert ask.cache.nbytes == 300
    ask("a")
    ask("b")
    assert ask.made == ["a", "b", "c", "d", "b"]
    assert ask.cache.nbytes == 300


def test_what_exceeds_the_budget_is_used_and_not_kept() -> None:
    ask = Maker(PreparedPictures(300))
    ask("a")
    assert ask("b", nbytes=301).nbytes == 301
    assert ask.cache.nbytes == 100
    ask("a")
    assert ask.made == ["a", "b"]
    nothing = Maker(PreparedPictures(0))
    nothing("a")
    nothing("a")
    assert nothing.made == ["a", "a"]


def test_model_versions_do_not_meet_and_equal_pixels_do() -> None:
    ask = Maker(PreparedPictures(1000))
    ask("a1", "v")
    ask("a1", "w")
    assert ask.made == ["a1", "a1"]
    found = ask.cache.find("pixels of a", "v")
    assert found is not None
    assert ask.cache.find("pixels of b", "v") is None
    assert ask("a2") is not None
    assert ask.cache.nbytes == 200, "the second encoding of the same pixels costs nothing"


def test_those_who_ask_together_wait_for_one() -> None:
    cache = PreparedPictures(1000)
    going, go = threading.Event(), threading.Event()
    made = []

    def make() -> Prepared:
        made.append(1)
        going.set()
        assert go.wait(10)
        return Prepared("p", (1, 1), 10)

    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(cache.get, "a", "v", make)
        assert going.wait(10)
        others = [pool.submit(cache.get, "a", "v", make) for _ in range(5)]
        go.set()
        assert {id(future.result()) for future in [first, *others]} == {id(first.result())}
    assert made == [1]


def test_a_failure_is_told_and_not_kept() -> None:
    cache = PreparedPictures(1000)

    def fail() -> Prepared:
        raise ValueError("no picture")

    with pytest.raises(ValueError, match="no picture"):
        cache.get("a", "v", fail)
    assert Maker(cache)("a")


def test_clearing_drops_all() -> None:
    ask = Maker(PreparedPictures(1000))
    ask("a")
    ask.cache.clear()
    assert ask.cache.nbytes == 0
    ask("a")
    assert ask.made == ["a", "a"]
