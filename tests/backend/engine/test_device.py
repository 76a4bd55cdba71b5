"""One thread for the networks: order, batches, and failures that stay alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import torch

from backend.engine.device import MAX_BATCH, Device, is_out_of_memory
from backend.errors import OutOfMemory
from models.prompts import Click, Prompt
from models.segmenter import Query, Result
from tests.backend.conftest import scene
from tests.backend.growing import Growing


class Blocked:
    """A device that is busy until `release`, with a line that is known to have formed."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._release = threading.Event()
        self._begun = threading.Event()
        self._pool = ThreadPoolExecutor(64)
        self._pool.submit(device.run, self._wait)
        assert self._begun.wait(10)

    def _wait(self) -> None:
        self._begun.set()
        assert self._release.wait(20)

    def add(self, ask: Callable[..., Any], *arguments: Any) -> Future[Any]:
        waiting = len(self.device._waiting)
        future = self._pool.submit(ask, *arguments)
        while len(self.device._waiting) == waiting:
            pass
        return future

    def release(self) -> None:
        self._release.set()


def query(segmenter: Growing, x: float, seed: int = 0, height: int = 48) -> Query:
    return Query(segmenter.prepare(scene(seed, height)), Prompt((Click(x, 5.0),)))


@pytest.fixture
def device() -> Any:
    device = Device()
    yield device
    device.close()


def same(one: Result, other: Result) -> bool:
    return one.region == other.region and one.values.tobytes() == other.values.tobytes()


def test_what_waits_together_runs_together(device: Device) -> None:
    segmenter = Growing()
    queries = [query(segmenter, float(x)) for x in range(5)]
    blocked = Blocked(device)
    futures = [blocked.add(device.segment, segmenter, each) for each in queries]
    blocked.release()
    results = [future.result() for future in futures]
    assert segmenter.batches == [5]
    for each, result in zip(queries, results, strict=True):
        assert same(result, Growing().segment_batch([each])[0])


def test_only_equal_keys_of_one_segmenter_share_a_pass(device: Device) -> None:
    one, other = Growing(), Growing()
    blocked = Blocked(device)
    asked = [
        (one, query(one, 1.0)),
        (other, query(other, 2.0)),
        (one, query(one, 3.0, height=40)),
        (one, query(one, 4.0)),
        (other, query(other, 5.0)),
    ]
    futures = [blocked.add(device.segment, *each) for each in asked]
    blocked.release()
    for future in futures:
        assert future.result()
    assert (one.batches, other.batches) == ([2, 1], [2])


def test_a_lone_question_does_not_wait_and_a_batch_has_a_limit(device: Device) -> None:
    segmenter = Growing()
    assert device.segment(segmenter, query(segmenter, 1.0))
    blocked = Blocked(device)
    each = query(segmenter, 2.0)
    futures = [blocked.add(device.segment, segmenter, each) for _ in range(MAX_BATCH + 3)]
    blocked.release()
    for future in futures:
        assert future.result()
    assert segmenter.batches == [1, MAX_BATCH, 3]


def test_a_segmenter_without_keys_is_asked_one_by_one(device: Device) -> None:
    class Alone(Growing):
        def batch_key(self, query: Query) -> None:
            return None

    class Broken(Growing):
        def batch_key(self, query: Query) -> None:
            raise KeyError("a defect")

    for segmenter in (Alone(), Broken()):
        blocked = Blocked(device)
        each = query(segmenter, 2.0)
        futures = [blocked.add(device.segment, segmenter, each) for _ in range(3)]
        blocked.release()
        assert all(future.result() for future in futures)
        assert segmenter.batches == [1, 1, 1]


def test_the_urgent_goes_first_then_the_earlier(device: Device) -> None:
    order: list[str] = []
    blocked = Blocked(device)
    futures = [
        blocked.add(device.run, lambda name=name: order.append(name), priority)
        for name, priority in (("a", 1), ("b", 0), ("c", 1), ("d", 0))
    ]
    blocked.release()
    for future in futures:
        future.result()
    assert order == ["b", "d", "a", "c"]


def test_of_a_batch_only_the_guilty_fails(device: Device) -> None:
    def fail(queries: Sequence[Query]) -> None:
        if any(each.prompt.clicks[0].x == 2 for each in queries):
            raise ValueError("a defect")

    segmenter = Growing(before_pass=fail)
    blocked = Blocked(device)
    futures = [blocked.add(device.segment, segmenter, query(segmenter, float(x))) for x in range(4)]
    blocked.release()
    with pytest.raises(ValueError, match="a defect"):
        futures.pop(2).result()
    assert all(future.result() for future in futures)


def test_an_answer_too_few_is_an_error_for_all(device: Device) -> None:
    class Forgetful(Growing):
        def segment_batch(self, queries: Sequence[Query]) -> list[Result]:
            return super().segment_batch(queries)[1:]

    segmenter = Forgetful()
    with pytest.raises(RuntimeError, match="answered 0 of 1"):
        device.segment(segmenter, query(segmenter, 1.0))


def test_nothing_ends_the_thread(device: Device) -> None:
    for error in (SystemExit(3), KeyboardInterrupt()):

        def leave(error: BaseException = error) -> None:
            raise error

        with pytest.raises(RuntimeError, match="the network ended with"):
            device.run(leave)
    assert device.run(lambda: 5) == 5


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_out_of_memory_frees_tries_alone_and_then_fails_alone(error: Exception) -> None:
    freed: list[int] = []
    device = Device(lambda: freed.append(1))

    def fill(queries: Sequence[Query]) -> None:
        if len(queries) > 1 or queries[0].prompt.clicks[0].x == 2:
            raise error

    segmenter = Growing(before_pass=fill)
    blocked = Blocked(device)
    futures = [blocked.add(device.segment, segmenter, query(segmenter, float(x))) for x in range(4)]
    blocked.release()
    with pytest.raises(OutOfMemory, match="smaller"):
        futures.pop(2).result()
    assert all(future.result() for future in futures)
    assert len(freed) == 2, "after the batch, and for whoever comes after the one that failed"
    assert segmenter.batches == [1, 1, 1]
    device.close()


def test_what_is_not_out_of_memory() -> None:
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    assert not is_out_of_memory(ValueError("can't allocate memory"))


def test_closing_fails_what_waits_and_what_comes() -> None:
    device = Device()
    blocked = Blocked(device)
    future = blocked.add(device.run, lambda: 1)
    closing = ThreadPoolExecutor(1).submit(device.close)
    with pytest.raises(RuntimeError, match="closed"):
        future.result()
    blocked.release()
    closing.result()
    with pytest.raises(RuntimeError, match="closed"):
        device.run(lambda: 1)


def test_a_device_that_is_lost_is_noticed_after_a_failure() -> None:
    asked: list[bool] = []

    def usable() -> bool:
        asked.append(True)
        return len(asked) < 2

    def fail() -> None:
        raise ValueError("a defect")

    device = Device(usable=usable)
    assert device.run(lambda: 1) == 1
    assert asked == []
    for failed in (False, True, True):
        with pytest.raises(ValueError, match="a defect"):
            device.run(fail)
        assert device.failed is failed
    assert len(asked) == 2
    device.close()
