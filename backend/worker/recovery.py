"""What RQ leaves open: telling that a worker process died, and giving its jobs to another.

A job that is begun is written down with its worker's id, and each worker process renews a
heartbeat with a lease. A sweeper, one at a time among all workers, puts the jobs of a worker whose
lease ran out back into the line. A job that was being done when its worker died twice is given up:
it is taken to be the reason. After the first time it is only ever done alone among its like, so
that what merely ran beside it is not given up with it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from redis import Redis

from backend.errors import MaskloopError
from backend.prompt_record import compact
from backend.queue.keys import Keys
from backend.queue.replies import Replies

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 2
"""How often a job is begun before it is taken to be what ends workers."""

GONE, SUSPECT = -1, -2

BEGIN = """
local attempts = redis.call('HGET', KEYS[1], 'attempts')
if not attempts then return -1 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
if tonumber(attempts) > 0 and ARGV[3] ~= 'alone' then return -2 end
redis.call('HINCRBY', KEYS[1], 'attempts', 1)
return redis.call('PTTL', KEYS[1])
"""


@dataclass(frozen=True)
class Pace:
    """Seconds between heartbeats, until one is too old, between looks for the dead, and between
    looks of an idle thread at whether it is to stop.
    """

    beat: float = 1.0
    lease: float = 5.0
    sweep: float = 1.0
    idle: float = 1.0


class Begun:
    """The jobs that this worker process is doing."""

    def __init__(self, client: Redis, keys: Keys, worker_id: str) -> None:
        self._client: Any = client
        self._keys = keys
        self._worker_id = worker_id
        self._jobs: set[str] = set()
        self._alone = threading.Lock()

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._jobs

    @contextmanager
    def job(self, job_id: str) -> Iterator[float | None]:
        """Do a job inside the block; it gets the seconds left, None where no time is left.

        A job that has been begun before waits here until no other such job is being done.
        """
        self._jobs.add(job_id)
        try:
            left = self._begin(job_id, "")
            if left == SUSPECT:
                with self._alone:
                    yield self._seconds(self._begin(job_id, "alone"))
            else:
                yield self._seconds(left)
        finally:
            try:
                self._client.hdel(self._keys.running, job_id)
            finally:
                self._jobs.discard(job_id)

    def _begin(self, job_id: str, how: str) -> int:
        names = (self._keys.ticket(job_id), self._keys.running)
        arguments = (job_id, self._worker_id, how)
        return int(self._client.eval(BEGIN, len(names), *names, *arguments))

    @staticmethod
    def _seconds(milliseconds: int) -> float | None:
        return None if milliseconds == GONE else milliseconds / 1000


class Heartbeat:
    """Says that this worker process lives, and how it stands."""

    def __init__(
        self,
        client: Redis,
        keys: Keys,
        worker_id: str,
        pace: Pace,
        state: Callable[[], dict[str, Any]],
    ) -> None:
        self._client: Any = client
        self._keys = keys
        self._worker_id = worker_id
        self._lease_ms = int(pace.lease * 1000)
        self._state = state

    def beat(self) -> None:
        """Renew the lease."""
        state = compact(self._state())
        pipeline = self._client.pipeline()
        pipeline.sadd(self._keys.workers, self._worker_id)
        pipeline.set(self._keys.worker(self._worker_id), state, px=self._lease_ms)
        pipeline.execute()

    def end(self) -> None:
        """Give the lease up: nobody is to count on this worker any longer."""
        pipeline = self._client.pipeline()
        pipeline.srem(self._keys.workers, self._worker_id)
        pipeline.delete(self._keys.worker(self._worker_id))
        pipeline.execute()


class Sweeper:
    """Finds the jobs of workers that died, and puts them back into the line or gives them up."""

    def __init__(self, client: Redis, keys: Keys, worker_id: str, pace: Pace, begun: Begun) -> None:
        self._client: Any = client
        self._keys = keys
        self._worker_id = worker_id
        self._lock_ms = max(int(pace.sweep * 900), 1)
        self._begun = begun
        self._replies = Replies(client, keys)
        self._stranded: set[str] = set()

    def sweep(self) -> list[str]:
        """Look once, unless another worker just has; return the ids of the jobs put back."""
        if not self._client.set(self._keys.sweep, self._worker_id, nx=True, px=self._lock_ms):
            return []
        owners = {
            job.decode(): worker.decode()
            for job, worker in self._client.hgetall(self._keys.running).items()
        }
        dead = self._dead(set(owners.values()))
        lost = [job for job, owner in owners.items() if self._is_lost(job, owner, dead)]
        lost += self._still_stranded(set(owners))
        put_back = [job_id for job_id in lost if self._put_back(job_id)]
        self._tidy(dead)
        return put_back

    def _dead(self, owners: set[str]) -> set[str]:
        """Those among the workers known of whose lease has run out."""
        known = owners | {worker.decode() for worker in self._client.smembers(self._keys.workers)}
        ids = sorted(known)
        leases = self._client.mget([self._keys.worker(worker) for worker in ids]) if ids else []
        return {worker for worker, lease in zip(ids, leases, strict=True) if lease is None}

    def _is_lost(self, job_id: str, owner: str, dead: set[str]) -> bool:
        """Its worker died, or it is said to be ours and we know nothing of it: the line to Redis
        broke while it was being ended.
        """
        if owner == self._worker_id:
            return job_id not in self._begun
        return owner in dead

    def _still_stranded(self, begun: set[str]) -> list[str]:
        """Jobs that two looks in a row found taken and not begun: whoever took them died between.

        Two, because a healthy worker too needs a moment from the one to the other.
        """
        taken = {job.decode() for job in self._client.lrange(self._keys.taken, 0, -1)} - begun
        lost = [job for job in sorted(taken & self._stranded) if job not in self._begun]
        self._stranded = taken
        return lost

    def _put_back(self, job_id: str) -> bool:
        attempts = self._client.hget(self._keys.ticket(job_id), "attempts")
        given_up = attempts is not None and int(attempts) >= MAX_ATTEMPTS
        pipeline = self._client.pipeline()
        pipeline.hdel(self._keys.running, job_id)
        pipeline.lrem(self._keys.taken, 0, job_id)
        if attempts is None or given_up:
            pipeline.delete(self._keys.job(job_id))
        else:
            pipeline.lpush(self._keys.line, job_id)
        pipeline.execute()
        if given_up:
            log.error("job %s is given up: the worker died both times it was done", job_id)
            self._replies.fail(
                job_id,
                MaskloopError(
                    "this request ended the worker that did it, twice, and is given up; "
                    "the workers' logs say more"
                ),
            )
        return attempts is not None and not given_up

    def _tidy(self, dead: set[str]) -> None:
        """Forget dead workers, and what RQ keeps of executions that nobody will end."""
        pipeline = self._client.pipeline()
        if dead:
            pipeline.srem(self._keys.workers, *sorted(dead))
        now = self._client.time()[0]
        pipeline.zremrangebyscore(self._keys.started, 0, now)
        pipeline.zremrangebyscore(self._keys.failed, 0, now)
        pipeline.execute()
