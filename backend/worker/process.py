"""One worker process: one device, one queue, one engine, several threads."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable
from types import FrameType
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq.queue import Queue
from rq.worker_registration import clean_worker_registry

from backend.engine import Engine, SegmenterSource
from backend.errors import InvalidRequest, InvalidSettings, MaskloopError
from backend.queue.interface import Deadline, SegmentJob, perform
from backend.queue.kept import Kept
from backend.queue.keys import Keys
from backend.queue.replies import Replies
from backend.queue.rq_queue import FUNCTION
from backend.redis_connection import connect, place_of
from backend.settings import Settings
from backend.worker.device_worker import DeviceWorker
from backend.worker.recovery import Begun, Heartbeat, Pace, Sweeper

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""How long to wait before Redis is tried again."""


class WorkerProcess:
    """Does the jobs of one queue until it is stopped. Outlives Redis being restarted.

    `source` gives the segmenters; the zoo's by default.
    """

    def __init__(
        self,
        settings: Settings,
        source: SegmenterSource | None = None,
        pace: Pace = Pace(),  # noqa: B008
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if settings.redis_url is None:
            raise InvalidSettings(
                "a worker needs a Redis to take its jobs from; set REDIS_URL=redis://HOST:PORT/0"
            )
        self._url = settings.redis_url
        self._settings = settings
        self._pace = pace
        self._clock = clock
        self._id = uuid.uuid4().hex
        self._client = connect(self._url)
        self._keys = Keys(settings.queue_name)
        kept = Kept.in_redis(settings, self._client)
        self._engine = Engine(settings, kept.pictures, kept.sessions, source)
        self._replies = Replies(self._client, self._keys)
        self._begun = Begun(self._client, self._keys, self._id)
        self._workers: dict[int, DeviceWorker] = {}
        self._stopping = threading.Event()

    def run(self) -> None:
        """Work until `stop` is called, then finish the jobs in hand and leave.

        Raises MaskloopError where it left because its device does not work any longer.
        """
        for name in ("rq.worker", "rq.job"):  # they tell of every job, and set that themselves
            logging.getLogger(name).setLevel(logging.WARNING)
        self._engine.start()
        if self._wait_for_redis():
            self._work()
        self._engine.close()
        if self._engine.failed:
            raise MaskloopError("the device does not work any longer; start the worker anew")
        log.info("the worker has left")

    def stop(self) -> None:
        """Take no further job. May be called from a signal handler and from any thread."""
        self._stopping.set()

    def _work(self) -> None:
        heartbeat = Heartbeat(self._client, self._keys, self._id, self._pace, self._state)
        sweeper = Sweeper(self._client, self._keys, self._id, self._pace, self._begun)
        heartbeat.beat()
        clean_worker_registry(Queue(self._keys.name, connection=self._client))
        leaving = threading.Event()
        vital = [
            self._thread("heartbeat", self._regularly, heartbeat.beat, self._pace.beat, leaving),
            self._thread("sweeper", self._regularly, sweeper.sweep, self._pace.sweep, leaving),
        ]
        jobs = [
            self._thread(f"jobs-{number}", self._serve, number)
            for number in range(self._settings.worker_threads)
        ]
        log.info("the worker takes jobs of %r from %s", self._keys.name, place_of(self._client))
        self._stopping.wait()
        log.info("the worker finishes what it has in hand")
        for worker in list(self._workers.values()):
            worker.stop()
        for thread in jobs:
            thread.join()
        leaving.set()
        for thread in vital:
            thread.join()
        try:
            heartbeat.end()
        except RedisError:
            log.info("Redis is gone already; the lease will run out")

    @staticmethod
    def _thread(name: str, function: Callable[..., None], *arguments: Any) -> threading.Thread:
        thread = threading.Thread(target=function, args=arguments, name=name, daemon=True)
        thread.start()
        return thread

    def _wait_for_redis(self) -> bool:
        """Whether Redis answers; it is waited for until it does or the worker is stopped."""
        while not self._stopping.is_set():
            try:
                self._client.ping()
                return True
            except RedisError as error:
                log.warning("Redis at %s does not answer yet: %s", place_of(self._client), error)
                self._stopping.wait(RETRY_SECONDS)
        return False

    def _serve(self, number: int) -> None:
        """One job thread: an RQ worker, and a new one whenever Redis threw it out."""
        client: Redis = connect(self._url)
        while not self._stopping.is_set():
            try:
                functions = {FUNCTION: self._segment}
                worker = DeviceWorker(self._keys, client, functions, self._begun, self._pace.idle)
                self._workers[number] = worker
                if not self._stopping.is_set():
                    worker.work(logging_level=None)
            except RedisError as error:
                log.warning("job thread %d lost Redis: %s", number, error)
            except Exception:
                log.exception("job thread %d starts anew", number)
            if not self._stopping.is_set():
                self._stopping.wait(RETRY_SECONDS)
        client.close()

    @staticmethod
    def _regularly(work: Callable[[], object], seconds: float, leaving: threading.Event) -> None:
        while not leaving.wait(seconds):
            try:
                work()
            except RedisError as error:
                log.warning("Redis does not answer: %s", error)
            except Exception:
                log.exception("the worker's upkeep failed")

    def _segment(self, job_id: str, data: Any, seconds_left: float) -> None:
        """Do a job and hand what comes of it to whoever waits."""
        try:
            job = SegmentJob.from_json(data)
        except (KeyError, TypeError, ValueError) as error:
            self._replies.fail(job_id, InvalidRequest(f"the job is not readable: {error!r}"))
            return
        try:
            outcome = perform(self._engine, job, Deadline(seconds_left, self._clock))
        except MaskloopError as error:
            self._replies.fail(job_id, error)
        else:
            self._replies.answer(job_id, outcome)
        if self._engine.failed:
            self.stop()

    def _state(self) -> dict[str, Any]:
        """What the heartbeat tells."""
        return {
            "id": self._id,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "device": self._settings.device,
            "models": [status.to_json() for status in self._engine.status()],
        }


def run(settings: Settings, source: SegmenterSource | None = None, pace: Pace = Pace()) -> None:  # noqa: B008
    """Be a worker until SIGTERM or SIGINT, and then finish what is in hand.

    A second signal ends the process at once. Raises InvalidSettings without REDIS_URL, and what
    `WorkerProcess.run` raises.
    """
    process = WorkerProcess(settings, source, pace)

    def leave(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        process.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    process.run()
