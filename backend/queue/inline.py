"""The queue inside one process: a bounded line, a few threads, one engine."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from backend.engine import Engine
from backend.errors import Busy, MaskloopError, QueueUnavailable, Superseded
from backend.queue.interface import (
    Deadline,
    Outcome,
    QueueStatus,
    SegmentJob,
    perform,
    too_late,
)
from backend.settings import Settings


@dataclass(frozen=True)
class _Waiting:
    """A job in the line; the lowest rank leaves it first."""

    rank: tuple[int, int]
    job: SegmentJob
    deadline: Deadline
    future: Future[Outcome]


class InlinePending:
    """A job that waits or is being done in this process."""

    def __init__(self, future: Future[Outcome]) -> None:
        self._future = future

    def result(self, timeout: float) -> Outcome:
        """See `Pending`."""
        try:
            return self._future.result(max(timeout, 0.0))
        except TimeoutError:
            raise too_late() from None


class InlineQueue:
    """Jobs are taken by priority, then by arrival, and done by threads of this process."""

    def __init__(
        self, settings: Settings, engine: Engine, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._clock = clock
        self._line: list[_Waiting] = []
        self._arrivals = itertools.count()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def start(self) -> None:
        """See `RequestQueue`."""
        self._engine.start()

    def status(self) -> QueueStatus:
        """See `RequestQueue`."""
        return QueueStatus(self._engine.status())

    def submit(self, job: SegmentJob) -> InlinePending:
        """See `RequestQueue`. Raises Busy and QueueUnavailable."""
        deadline = Deadline(job.milliseconds / 1000, self._clock)
        future: Future[Outcome] = Future()
        with self._changed:
            if self._closed:
                raise QueueUnavailable("the server is shutting down; send the request again later")
            replaced = [waiting for waiting in self._line if job.supersedes(waiting.job)]
            if len(self._line) - len(replaced) >= self._settings.max_waiting:
                raise busy(len(self._line))
            for waiting in replaced:
                self._line.remove(waiting)
            rank = (job.priority, next(self._arrivals))
            self._line.append(_Waiting(rank, job, deadline, future))
            self._start_threads()
            self._changed.notify()
        for waiting in replaced:
            waiting.future.set_exception(superseded(job))
        return InlinePending(future)

    def close(self) -> None:
        """See `RequestQueue`. What still waits gets QueueUnavailable."""
        with self._changed:
            self._closed = True
            abandoned, self._line = self._line, []
            self._changed.notify_all()
        for waiting in abandoned:
            waiting.future.set_exception(QueueUnavailable("the server is shutting down"))
        for thread in self._threads:
            thread.join()
        self._engine.close()

    def _start_threads(self) -> None:
        """Start them with the first job and not before: a server may fork until then."""
        if not self._threads:
            for number in range(self._settings.worker_threads):
                thread = threading.Thread(target=self._serve, name=f"job-{number}", daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self) -> None:
        while (waiting := self._next()) is not None:
            try:
                outcome = perform(self._engine, waiting.job, waiting.deadline)
            except MaskloopError as error:
                waiting.future.set_exception(error)
            else:
                waiting.future.set_result(outcome)

    def _next(self) -> _Waiting | None:
        with self._changed:
            self._changed.wait_for(lambda: self._line or self._closed)
            if self._closed:
                return None
            first = min(self._line, key=lambda waiting: waiting.rank)
            self._line.remove(first)
            return first


def busy(waiting: int) -> Busy:
    """The error of a line that is full."""
    return Busy(
        f"{waiting} requests are waiting already; try again in a moment, "
        "add workers, or raise MASKLOOP_MAX_WAITING"
    )


def superseded(newer: SegmentJob) -> Superseded:
    """The error of a job whose place a newer click has taken."""
    return Superseded(f"a newer click on this object, request {newer.request_id}, took its place")
