"""The names of everything that an installation keeps in Redis, in one place.

| name | what lies there | until |
|---|---|---|
| `rq:queue:NAME`, `rq:queue:NAME:intermediate` | RQ's line of job ids, and those just taken | |
| `NAME:ticket:JOB` | a hash, `attempts`: times the job was begun | the job's deadline |
| `NAME:running` | a hash, job id to worker id | |
| `NAME:reply:JOB` | a list of one: the reply's JSON | it is fetched, or a minute |
| `NAME:mask:JOB` | the mask of the reply | it is fetched, or a minute |
| `NAME:newest:KEY` | the latest job of a supersede key | its deadline |
| `NAME:workers`, `NAME:worker:ID` | ids of workers; the heartbeat of one, as JSON | the lease |
| `NAME:sweep` | the lock of whoever looks for dead workers' jobs | the sweep interval |
| `NAME:picture:ID`, `NAME:prompt-mask:ID` | pictures and prompts' masks | see below |
| `NAME:state:KEY`, `NAME:trail:KEY` | sessions | see below |

Pictures and sessions stay for `session_seconds` after their last use.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Keys:
    """The names that belong to the queue called `name`."""

    name: str

    @property
    def prefix(self) -> str:
        """Before every name of ours."""
        return f"{self.name}:"

    @property
    def line(self) -> str:
        """RQ's list of waiting job ids."""
        return f"rq:queue:{self.name}"

    @property
    def taken(self) -> str:
        """RQ's list of job ids that a worker has taken and not yet begun."""
        return f"{self.line}:intermediate"

    @property
    def started(self) -> str:
        """RQ's sorted set of executions that have begun."""
        return f"rq:wip:{self.name}"

    @property
    def failed(self) -> str:
        """RQ's sorted set of jobs that failed."""
        return f"rq:failed:{self.name}"

    @staticmethod
    def job(job_id: str) -> str:
        """RQ's hash of a job."""
        return f"rq:job:{job_id}"

    @property
    def running(self) -> str:
        """Which worker has begun which job."""
        return f"{self.prefix}running"

    @property
    def workers(self) -> str:
        """The ids of workers that have been heard of."""
        return f"{self.prefix}workers"

    @property
    def worker_prefix(self) -> str:
        """Before a worker's id in the name of its heartbeat."""
        return f"{self.prefix}worker:"

    def worker(self, worker_id: str) -> str:
        """A worker's heartbeat."""
        return f"{self.worker_prefix}{worker_id}"

    @property
    def sweep(self) -> str:
        """The lock of the sweeper."""
        return f"{self.prefix}sweep"

    def ticket(self, job_id: str) -> str:
        """What is left of a job's time, and how often it was begun."""
        return f"{self.prefix}ticket:{job_id}"

    def reply(self, job_id: str) -> str:
        """Where whoever waits for a job listens."""
        return f"{self.prefix}reply:{job_id}"

    def mask(self, job_id: str) -> str:
        """A reply's mask."""
        return f"{self.prefix}mask:{job_id}"

    def newest(self, supersede_key: str) -> str:
        """The latest job with this supersede key."""
        return f"{self.prefix}newest:{hashlib.sha256(supersede_key.encode()).hexdigest()}"
