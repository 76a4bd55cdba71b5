"""The queue through Redis: RQ's jobs and lines, JSON only, references instead of payloads.

The web process' side. It imports no network and no torch: workers do the work, and tell in their
heartbeats which models they have.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from redis import Redis
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer

from backend.engine import ModelStatus, SegmenterSource
from backend.errors import MaskloopError, QueueUnavailable
from backend.prompt_record import compact
from backend.queue.inline import busy, superseded
from backend.queue.interface import Deadline, Outcome, QueueStatus, SegmentJob, too_late
from backend.queue.keys import Keys
from backend.queue.replies import Replies
from backend.redis_connection import answering, place_of
from backend.settings import Settings

FUNCTION = "maskloop.segment"
"""The name under which workers know what to do; not an import path, nothing is looked up by it."""

SLICE_SECONDS = 1.0
"""How long a wait for a reply goes before it is checked that Redis still knows the job."""

FAILURE_SECONDS = 600
"""How long RQ keeps what is to be known of a job that failed in its machinery."""

STATUS_SECONDS = 0.5
"""How long the workers' heartbeats are believed before they are read again."""

NO_WORKER, FULL = -1, -2

PUSH = """
local alive = false
for _, id in ipairs(redis.call('SMEMBERS', KEYS[2])) do
    if redis.call('EXISTS', ARGV[4] .. id) == 1 then alive = true break end
end
if not alive then return -1 end
local ids = redis.call('LRANGE', KEYS[1], 0, -1)
if #ids >= tonumber(ARGV[3]) then return -2 end
for _, other in ipairs(ids) do
    if string.sub(other, 1, 1) > ARGV[2] then
        redis.call('LINSERT', KEYS[1], 'BEFORE', other, ARGV[1])
        return #ids
    end
end
redis.call('RPUSH', KEYS[1], ARGV[1])
return #ids
"""


class PriorityQueue(Queue):
    """RQ's queue with a limit, and with urgent jobs before others.

    A job's priority is the first character of its id. The push is refused, atomically, where the
    line is full or no worker's heartbeat is fresh: the command returns FULL or NO_WORKER.
    """

    def __init__(self, keys: Keys, limit: int, connection: Redis) -> None:
        super().__init__(keys.name, connection=connection, serializer=JSONSerializer)
        self._keys = keys
        self._limit = limit

    def push_job_id(self, job_id: str, pipeline: Any = None, at_front: bool = False) -> None:
        """Put a job into the line: RQ calls this within its transaction."""
        connection = self.connection if pipeline is None else pipeline
        names = (self._keys.line, self._keys.workers)
        arguments = (job_id, job_id[0], self._limit, self._keys.worker_prefix)
        connection.eval(PUSH, len(names), *names, *arguments)


class RqPending:
    """A job that lies in Redis or is being done by a worker."""

    def __init__(self, job_id: str, client: Any, keys: Keys, clock: Callable[[], float]) -> None:
        self._job_id = job_id
        self._client = client
        self._keys = keys
        self._clock = clock
        self._replies = Replies(client, keys)

    def result(self, timeout: float) -> Outcome:
        """See `Pending`. Raises QueueUnavailable where Redis is gone or has forgotten the job."""
        deadline = Deadline(timeout, self._clock)
        with answering(place_of(self._client)):
            while deadline.remaining > 0:
                outcome = self._replies.wait(self._job_id, min(deadline.remaining, SLICE_SECONDS))
                if outcome is not None:
                    return outcome
                if deadline.remaining > SLICE_SECONDS and self._forgotten():
                    raise QueueUnavailable(
                        "Redis has forgotten this request, as it does when it is restarted; "
                        "send it again"
                    )
        raise too_late()

    def _forgotten(self) -> bool:
        """Whether neither the job's ticket nor a reply is there."""
        known = (self._keys.ticket(self._job_id), self._keys.reply(self._job_id))
        return not self._client.exists(*known)


class RqQueue:
    """Jobs travel through one RQ queue to the workers of this installation."""

    def __init__(
        self,
        settings: Settings,
        client: Redis,
        source: SegmenterSource | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._client: Any = client
        self._source = source
        self._clock = clock
        self._keys = Keys(settings.queue_name)
        self._queue = PriorityQueue(self._keys, settings.max_waiting, client)
        self._replies = Replies(client, self._keys)
        self._status: tuple[float, QueueStatus] | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """See `RequestQueue`. The workers load; here is nothing to do."""

    def close(self) -> None:
        """See `RequestQueue`."""
        self._client.close()

    def submit(self, job: SegmentJob) -> RqPending:
        """See `RequestQueue`. Raises Busy and QueueUnavailable."""
        job_id = f"{min(max(job.priority, 0), 9)}-{uuid.uuid4().hex}"
        milliseconds = max(job.milliseconds, 1)
        with answering(place_of(self._client)):
            pipeline = self._client.pipeline()
            self._queue.enqueue_job(self._rq_job(job_id, job), pipeline=pipeline)
            pushed = len(pipeline) - 1
            pipeline.hset(self._keys.ticket(job_id), "attempts", 0)
            pipeline.pexpire(self._keys.ticket(job_id), milliseconds)
            ahead = pipeline.execute()[pushed]
            if ahead in {NO_WORKER, FULL}:
                self._client.delete(self._keys.job(job_id), self._keys.ticket(job_id))
                raise busy(self._settings.max_waiting) if ahead == FULL else no_worker()
            if job.supersede_key is not None:
                self._supersede(job_id, job, milliseconds)
        return RqPending(job_id, self._client, self._keys, self._clock)

    def status(self) -> QueueStatus:
        """See `RequestQueue`: what the heartbeats say. Read again after `STATUS_SECONDS`."""
        with self._lock:
            now = self._clock()
            if self._status is None or now - self._status[0] > STATUS_SECONDS:
                self._status = now, self._read_status()
            return self._status[1]

    def _rq_job(self, job_id: str, job: SegmentJob) -> Job:
        return Job.create(
            FUNCTION,
            args=[job.to_json()],
            connection=self._client,
            id=job_id,
            origin=self._queue.name,
            description=job.request_id,
            serializer=JSONSerializer,
            timeout=-1,
            result_ttl=0,
            ttl=max(job.milliseconds // 1000, 1) + 60,
            failure_ttl=FAILURE_SECONDS,
        )

    def _supersede(self, job_id: str, job: SegmentJob, milliseconds: int) -> None:
        """Take the latest job of the same key out of the line, if this one extends it."""
        newest = compact({"id": job_id, "job": job.to_json()})
        key = self._keys.newest(job.supersede_key or "")
        previous = self._client.set(key, newest, px=milliseconds, get=True)
        if previous is None:
            return
        entry = json.loads(previous)
        if job.supersedes(SegmentJob.from_json(entry["job"])) and self._client.lrem(
            self._keys.line, 1, entry["id"]
        ):
            self._replies.fail(entry["id"], superseded(job))
            self._client.delete(self._keys.job(entry["id"]))

    def _read_status(self) -> QueueStatus:
        try:
            with answering(place_of(self._client)):
                heartbeats = read_heartbeats(self._client, self._keys)
        except QueueUnavailable as error:
            return QueueStatus(self._models([]), (error.message,))
        problems = () if heartbeats else (no_worker().message,)
        return QueueStatus(self._models(heartbeats), problems)

    def _models(self, heartbeats: list[dict[str, Any]]) -> tuple[ModelStatus, ...]:
        said = [ModelStatus(**model) for beat in heartbeats for model in beat["models"]]
        return tuple(
            max(
                (status for status in said if status.name == name),
                key=lambda status: (status.problem is None, status.loaded),
                default=self._unserved(name, bool(heartbeats)),
            )
            for name in self._settings.offered_models
        )

    def _unserved(self, name: str, alive: bool) -> ModelStatus:
        """A model of which no worker says anything."""
        problem = no_worker().message
        if alive:
            problem = f"no worker serves {name}; name it in MASKLOOP_MODEL or MASKLOOP_MODELS there"
        try:
            version = None if self._source is None else self._source.version(name)
        except MaskloopError:
            version = None
        return ModelStatus(name, version, False, problem)


def read_heartbeats(client: Any, keys: Keys) -> list[dict[str, Any]]:
    """What the living workers last said of themselves."""
    ids = sorted(client.smembers(keys.workers))
    if not ids:
        return []
    found = client.mget([keys.worker(worker_id.decode()) for worker_id in ids])
    return [json.loads(data) for data in found if data is not None]


def no_worker() -> QueueUnavailable:
    """The error of a line that nobody serves."""
    return QueueUnavailable("no worker is alive; start one with `python -m backend worker`")
