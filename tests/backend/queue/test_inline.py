"""What the inline queue does beyond what both shapes promise (tests/backend/service)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from backend.engine import Engine
from backend.errors import Busy, DeadlineExceeded, QueueUnavailable, Superseded
from backend.prompt_record import PromptRecord
from backend.queue.inline import InlineQueue
from backend.queue.interface import SegmentJob
from backend.queue.kept import Kept
from backend.settings import Settings
from models.prompts import Click
from models.segmenter import Query
from tests.backend.conftest import encoded, scene
from tests.backend.growing import Growing, GrowingSource

A, B, C = Click(12.0, 21.0), Click(58.0, 16.0), Click(50.0, 34.0)


class Line:
    """An inline queue with one thread, held by its first job until it is let go."""

    def __init__(self, settings: Settings) -> None:
        self.now = 0.0
        self.gate, self.begun = threading.Event(), threading.Semaphore(0)
        self.growing = Growing(before_pass=self._hold)
        kept = Kept.in_memory(settings)
        self.image = kept.pictures.put(encoded(scene()))
        engine = Engine(settings, kept.pictures, kept.sessions, GrowingSource(self.growing))
        self.queue = InlineQueue(settings, engine, lambda: self.now)
        self.running = self.submit(A)
        assert self.begun.acquire(timeout=10)

    def _hold(self, _: Sequence[Query]) -> None:
        self.begun.release()
        assert self.gate.wait(20)

    def submit(self, *clicks: Click, seconds: float = 10, key: str | None = None):  # type: ignore[no-untyped-def]
        record, milliseconds = PromptRecord(clicks), int(seconds * 1000)
        return self.queue.submit(
            SegmentJob("r", self.image, "mobilesam", record, milliseconds, "o", 0, key)
        )


@pytest.fixture
def line(make_settings: Callable[..., Settings]) -> Line:
    return Line(make_settings(worker_threads=1, max_waiting=2))


def test_the_deadline_is_checked_when_a_job_leaves_the_line(line: Line) -> None:
    soon, late = line.submit(B, seconds=5), line.submit(C, seconds=50)
    line.now = 20.0
    line.gate.set()
    with pytest.raises(DeadlineExceeded):
        soon.result(10)
    assert late.result(10).mask
    assert line.growing.batches == [1, 1]
    line.queue.close()


def test_whoever_is_replaced_makes_room(line: Line) -> None:
    first, other = line.submit(A, key="k"), line.submit(B)
    with pytest.raises(Busy):
        line.submit(C)
    newer = line.submit(A, B, key="k")
    with pytest.raises(Superseded):
        first.result(0)
    line.gate.set()
    assert newer.result(10).mask and other.result(10).mask
    line.queue.close()


def test_closing_finishes_what_runs_and_refuses_the_rest(line: Line) -> None:
    waiting = line.submit(B)
    closing = threading.Thread(target=line.queue.close)
    closing.start()
    with pytest.raises(QueueUnavailable, match="shutting down"):
        waiting.result(10)
    line.gate.set()
    closing.join()
    assert line.running.result(10).mask
    with pytest.raises(QueueUnavailable, match="shutting down"):
        line.submit(C)


def test_waiting_has_an_end(line: Line) -> None:
    with pytest.raises(DeadlineExceeded):
        line.running.result(0.0)
    with pytest.raises(DeadlineExceeded):
        line.running.result(-1.0)
    line.gate.set()
    line.queue.close()


def test_no_thread_before_the_first_job(make_settings: Callable[..., Settings]) -> None:
    """A server may build its application and fork afterwards."""
    settings = make_settings()
    before = threading.active_count()
    kept = Kept.in_memory(settings)
    InlineQueue(settings, Engine(settings, kept.pictures, kept.sessions, GrowingSource()))
    assert threading.active_count() == before
