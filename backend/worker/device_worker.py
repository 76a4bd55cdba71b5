"""RQ's worker, fit to run several times in the threads of one process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq.exceptions import DequeueTimeout, StopRequested
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer
from rq.timeouts import BaseDeathPenalty
from rq.worker import SimpleWorker

from backend.queue.keys import Keys
from backend.redis_connection import SOCKET_SECONDS
from backend.worker.recovery import Begun

log = logging.getLogger(__name__)

Function = Callable[[str, Any, float], None]
"""What does a job: (job id, the job's one argument, seconds left)."""


class Refused(Exception):
    """A job for a function that this worker does not have."""


class NoDeathPenalty(BaseDeathPenalty):
    """RQ's time limit, without effect.

    RQ's own needs the main thread and its signals, and could not interrupt a pass of a network in
    any case. Deadlines are checked between the passes instead.
    """

    def setup_death_penalty(self) -> None:
        """Nothing to set up."""

    def cancel_death_penalty(self) -> None:
        """Nothing to cancel."""


class PermittedJob(Job):
    """A job that can do nothing but call one of the functions it is given.

    Names in the queue are keys of that table and never imported; callbacks and webhooks, which RQ
    takes from the queue as well, do not exist here.
    """

    functions: Mapping[str, Function] = {}
    seconds_left: float = 0.0

    def perform(self) -> None:
        """Call the function. Raises Refused where there is none of that name."""
        function = self.functions.get(str(self.func_name))
        if function is None or self.instance is not None or len(self.args) != 1 or self.kwargs:
            raise Refused(f"job {self.id} asks for {self.func_name!r}, which no worker here does")
        function(self.id, self.args[0], self.seconds_left)

    def execute_success_callback(self, *_: Any) -> None:
        """Callbacks do not exist."""

    def execute_failure_callback(self, *_: Any) -> None:
        """Callbacks do not exist."""

    def send_webhooks(self, *_: Any, **__: Any) -> None:
        """Webhooks do not exist."""


class DeviceWorker(SimpleWorker):
    """Takes jobs from exactly one queue and does them on the thread that calls `work`."""

    death_penalty_class = NoDeathPenalty
    job_class = PermittedJob
    log_result_lifespan = False

    def __init__(
        self,
        keys: Keys,
        client: Redis,
        functions: Mapping[str, Function],
        begun: Begun,
        idle_seconds: float = 1.0,
    ) -> None:
        super().__init__(
            [Queue(keys.name, connection=client, serializer=JSONSerializer)],
            connection=client,
            job_class=PermittedJob,
            serializer=JSONSerializer,
            log_job_description=False,
        )
        self._functions = functions
        self._begun = begun
        self._idle_seconds = idle_seconds

    @property
    def connection_timeout(self) -> int:
        """Seconds after which a silent Redis counts as gone: ours, not RQ's seven minutes."""
        return int(SOCKET_SECONDS)

    def stop(self) -> None:
        """Leave the loop once the job in hand is done, or `idle_seconds` later.

        Called from another thread.
        """
        self._stop_requested = True

    def dequeue_job_and_maintain_ttl(self, *_: Any, **__: Any) -> tuple[Job, Queue] | None:
        """Wait for a job; None once a stop is requested, which RQ tells by a signal alone."""
        while not self._stop_requested:
            try:
                self.heartbeat()
                return self.queue_class.dequeue_any(
                    self.queues,
                    self._idle_seconds,  # type: ignore[arg-type]
                    connection=self.connection,
                    job_class=self.job_class,
                    serializer=self.serializer,
                )
            except DequeueTimeout:
                continue
            except RedisError as error:
                raise StopRequested from error  # ends `work` without a traceback in the log
        return None

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Do a job if there is time left for it."""
        with self._begun.job(job.id) as seconds_left:
            if seconds_left is None or not isinstance(job, PermittedJob):
                self._drop(job, queue)
                return
            job.functions = self._functions
            job.seconds_left = seconds_left
            super().execute_job(job, queue)

    def bootstrap(self, *_: Any, **__: Any) -> None:
        """Register, and leave logging and RQ's remote commands alone."""
        self.register_birth()  # type: ignore[no-untyped-call]

    def unsubscribe(self) -> None:
        """Nothing was subscribed to."""

    def run_maintenance_tasks(self) -> None:
        """Our own sweeper does what is to be done (`backend.worker.recovery`)."""

    def _install_signal_handlers(self) -> None:
        """Signals are the process' business and reach its main thread alone."""

    def _drop(self, job: Job, queue: Queue) -> None:
        """Forget a job whose time is over: nobody waits for it any longer."""
        log.info("job %s is dropped: its deadline has passed", job.id)
        pipeline = self.connection.pipeline()
        pipeline.lrem(queue.intermediate_queue_key, 0, job.id)
        pipeline.delete(job.key)
        pipeline.execute()
