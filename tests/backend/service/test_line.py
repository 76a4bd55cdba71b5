"""Many requests at once: who goes first, who is refused, who fails. Both queues alike."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from backend.errors import (
    Busy,
    DeadlineExceeded,
    MaskloopError,
    OutOfMemory,
    Superseded,
)
from backend.service import Answer, Origin
from models.prompts import Click, Prompt
from models.segmenter import Query
from tests.backend.conftest import Serve, Served, scene
from tests.backend.growing import Growing, GrowingSource
from tests.backend.service.scenario import CLICKS, expected, fail_at_13


class Gate:
    """Holds passes of a network until it is opened, and tells when one has come."""

    def __init__(self) -> None:
        self.reached = threading.Semaphore(0)
        self.opened = threading.Event()

    def __call__(self, _: Sequence[Query]) -> None:
        self.reached.release()
        assert self.opened.wait(20)


def gated() -> tuple[GrowingSource, Gate]:
    gate = Gate()
    return GrowingSource(Growing(before_pass=gate)), gate


def test_one_failure_stays_alone(serve: Serve, picture: bytes) -> None:
    served = serve(GrowingSource(Growing(before_pass=fail_at_13)))

    def click(x: int) -> Answer | MaskloopError:
        try:
            return served.segment(picture, Click(float(x), 20.0))
        except MaskloopError as error:
            return error

    with ThreadPoolExecutor(8) as annotators:
        answers = list(annotators.map(click, range(10, 18)))
    failed = answers.pop(3)
    assert isinstance(failed, MaskloopError)
    assert failed.code == "internal"
    assert "a defect" not in failed.message
    assert all(isinstance(answer, Answer) and answer.mask for answer in answers)


def test_memory_that_runs_out_fails_one_request(serve: Serve, picture: bytes) -> None:
    hungry = {"left": 1}

    def fill(queries: Sequence[Query]) -> None:
        if any(query.prompt.clicks[0].x == 13 for query in queries):
            raise MemoryError
        if hungry["left"]:
            hungry["left"] = 0
            raise MemoryError

    served = serve(GrowingSource(Growing(before_pass=fill)))
    assert served.segment(picture, CLICKS[0]).mask, "with the caches freed there is room"
    with pytest.raises(OutOfMemory):
        served.segment(picture, Click(13.0, 20.0))
    assert served.segment(picture, CLICKS[0]).mask


def test_a_newer_click_of_the_same_user_takes_the_place(serve: Serve, picture: bytes) -> None:
    source, gate = gated()
    served = serve(source, worker_threads=1)
    mine = Origin("test", task="7", user="ann", object_id="pear")
    with ThreadPoolExecutor(5) as pool:

        def ask(origin: Origin, *clicks: Click) -> Callable[[], Answer]:
            return pool.submit(served.segment, picture, *clicks, origin=origin).result

        running = ask(Origin("test", task="7", user="bob"), CLICKS[1])
        assert gate.reached.acquire(timeout=20)
        older = ask(mine, *CLICKS[:1])
        _wait_until_in_line(served, 1)
        other = ask(Origin("test", task="7", user="cid", object_id="pear"), *CLICKS[:1])
        _wait_until_in_line(served, 2)
        newer = ask(mine, *CLICKS[:2])
        with pytest.raises(Superseded):
            older()
        gate.opened.set()
        assert np.array_equal(newer().mask.full, expected(scene(), Prompt(CLICKS[:2])))
        assert np.array_equal(other().mask.full, expected(scene(), Prompt(CLICKS[:1])))
        assert running().mask


def test_nothing_is_superseded_without_a_user_or_an_extension(serve: Serve, picture: bytes) -> None:
    source, gate = gated()
    served = serve(source, worker_threads=1)
    mine = Origin("test", task="7", user="ann", object_id="pear")
    nobody = Origin("test")
    with ThreadPoolExecutor(5) as pool:
        requests = [(nobody, 1), (nobody, 2), (mine, 3), (mine, 2)]
        waiting = []
        for origin, count in requests:
            waiting.append(pool.submit(served.segment, picture, *CLICKS[:count], origin=origin))
            if len(waiting) == 1:
                assert gate.reached.acquire(timeout=20)
            else:
                _wait_until_in_line(served, len(waiting) - 1)
        gate.opened.set()
        for (_, count), future in zip(requests, waiting, strict=True):
            right = expected(scene(), Prompt(CLICKS[:count]))
            assert np.array_equal(future.result().mask.full, right)


def test_the_line_has_an_end(serve: Serve, picture: bytes) -> None:
    source, gate = gated()
    served = serve(source, worker_threads=1, max_waiting=2)
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(served.segment, picture, CLICKS[0])]
        assert gate.reached.acquire(timeout=20)
        for count in (1, 2):
            waiting.append(pool.submit(served.segment, picture, CLICKS[1]))
            _wait_until_in_line(served, count)
        with pytest.raises(Busy, match="MASKLOOP_MAX_WAITING"):
            served.segment(picture, CLICKS[3])
        gate.opened.set()
        assert all(future.result().mask for future in waiting)


def test_an_answer_that_comes_too_late_is_an_error(serve: Serve, picture: bytes) -> None:
    source, gate = gated()
    served = serve(source, worker_threads=1)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(served.segment, picture, CLICKS[0])
        assert gate.reached.acquire(timeout=20)
        with pytest.raises(DeadlineExceeded):
            served.segment(picture, CLICKS[1], deadline_seconds=0.2)
        gate.opened.set()
        assert running.result().mask
    passes = len(served.segmenter.batches)
    assert served.segment(picture, CLICKS[3]).mask
    assert len(served.segmenter.batches) == passes + 1, "what came too late was not computed"


def test_people_go_before_batches(serve: Serve, picture: bytes) -> None:
    order: list[float] = []
    source, gate = gated()

    def note(queries: Sequence[Query]) -> None:
        order.append(queries[0].prompt.clicks[0].x)
        gate(queries)

    source.segmenter.before_pass = note
    served = serve(source, worker_threads=1)
    with ThreadPoolExecutor(5) as pool:
        waiting = [pool.submit(served.segment, picture, Click(1.0, 1.0))]
        assert gate.reached.acquire(timeout=20)
        for line, (x, priority) in enumerate([(2.0, 1), (3.0, 0), (4.0, 1), (5.0, 0)], 1):
            click = Click(x, 1.0)
            waiting.append(pool.submit(served.segment, picture, click, priority=priority))
            _wait_until_in_line(served, line)
        gate.opened.set()
        assert all(future.result() for future in waiting)
    assert order == [1.0, 3.0, 5.0, 2.0, 4.0]


def _wait_until_in_line(served: Served, count: int) -> None:
    while served.waiting() < count:
        pass
