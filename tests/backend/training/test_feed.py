from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from backend.training.feed import AHEAD, Feed, each_tensor

CPU = torch.device("cpu")


class Pair(NamedTuple):
    first: Tensor
    second: str


@dataclass(frozen=True)
class Kept:
    pair: Pair
    listed: list[Tensor]
    mapped: dict[str, tuple[Tensor, int]]


def test_every_tensor_is_reached_and_nothing_else_changes() -> None:
    batch = Kept(Pair(torch.tensor(1), "a"), [torch.tensor(2)], {"k": (torch.tensor(3), 4)})
    doubled = each_tensor(batch, lambda tensor: tensor * 2)
    assert doubled == Kept(
        Pair(torch.tensor(2), "a"), [torch.tensor(4)], {"k": (torch.tensor(6), 4)}
    )
    assert type(doubled.pair) is Pair


class Counting:
    """An endless stream that remembers how far it was read, in which thread, and its end."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.made = 0
        self.closed_in: str | None = None
        self.changed = threading.Condition()
        self._fails_at = fails_at

    def batches(self) -> Iterator[Tensor]:
        try:
            while self.made != self._fails_at:
                with self.changed:
                    self.made += 1
                    self.changed.notify_all()
                yield torch.tensor(self.made)
            raise ValueError("the disk is gone")
        finally:
            self.closed_in = threading.current_thread().name

    def wait_for(self, made: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.made >= made, timeout=30)


def test_batches_come_in_order_and_ahead_of_need_but_not_far() -> None:
    stream = Counting()
    with Feed(stream.batches(), CPU) as feed:
        assert [feed.take().item() for _ in range(3)] == [1, 2, 3]
        stream.wait_for(3 + AHEAD)
        assert stream.made <= 3 + AHEAD + 1  # one more is in hand, waiting for room
    assert stream.closed_in == "feed"


def test_leaving_early_ends_the_thread_and_the_stream() -> None:
    before = threading.active_count()
    stream = Counting()
    with pytest.raises(KeyError), Feed(stream.batches(), CPU):
        raise KeyError
    assert threading.active_count() == before
    assert stream.closed_in == "feed"


def test_what_the_stream_raises_is_raised_at_its_place() -> None:
    with Feed(Counting(fails_at=2).batches(), CPU) as feed:
        assert [feed.take().item(), feed.take().item()] == [1, 2]
        with pytest.raises(ValueError, match="the disk is gone"):
            feed.take()


def test_a_stream_that_ends_is_an_error() -> None:
    with Feed(iter([torch.tensor(1)]), CPU) as feed:
        feed.take()
        with pytest.raises(RuntimeError, match="came to an end"):
            feed.take()


def test_waiting_for_data_is_counted_once() -> None:
    go = threading.Event()

    def slow() -> Iterator[Any]:
        while True:
            go.wait(30)
            yield torch.tensor(0)

    with Feed(slow(), CPU) as feed:
        threading.Timer(0.2, go.set).start()
        feed.take()
        assert feed.waited() > 0.05
        assert feed.waited() == 0.0
