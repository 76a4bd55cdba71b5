"""How what came of a job gets back through Redis: a short JSON, and the mask as a value of its own.

Whoever waits blocks on a list of its own, so an answer is there the moment it is written.
"""

from __future__ import annotations

import json
from typing import Any

from redis import Redis

from backend.errors import MaskloopError, from_code
from backend.masks import Mask
from backend.prompt_record import compact
from backend.queue.interface import Outcome
from backend.queue.keys import Keys

KEPT_MS = 60_000
"""How long a reply waits for whoever asked; nobody does beyond his deadline."""


class Replies:
    """Writes and reads replies. Raises redis' own errors."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client: Any = client
        self._keys = keys

    def answer(self, job_id: str, outcome: Outcome) -> None:
        """Hand an outcome to whoever waits for the job, and end the job's time."""
        body = {
            "version": outcome.version,
            "picture_id": outcome.picture_id,
            "score": outcome.score,
            "remembered": outcome.remembered,
            "aborted": outcome.aborted,
        }
        pipeline = self._client.pipeline()
        pipeline.set(self._keys.mask(job_id), outcome.mask.to_bytes(), px=KEPT_MS)
        self._push(pipeline, job_id, body)

    def fail(self, job_id: str, error: MaskloopError) -> None:
        """Hand an error to whoever waits for the job, and end the job's time."""
        body = {"code": error.code, "message": error.message, "field": error.field}
        self._push(self._client.pipeline(), job_id, {"error": body})

    def wait(self, job_id: str, seconds: float) -> Outcome | None:
        """What came of a job, None where nothing did within `seconds`. Raises the job's error."""
        # A time-out of zero would mean for ever.
        found = self._client.blpop([self._keys.reply(job_id)], timeout=max(seconds, 0.001))
        if found is None:
            return None
        body = json.loads(found[1])
        if "error" in body:
            raise from_code(**body["error"])
        data = self._client.getdel(self._keys.mask(job_id))
        if data is None:
            raise MaskloopError("the mask was lost on its way; send the request again")
        return Outcome(
            Mask.from_bytes(data),
            body["version"],
            body["picture_id"],
            body["score"],
            body["remembered"],
            body["aborted"],
        )

    def _push(self, pipeline: Any, job_id: str, body: dict[str, Any]) -> None:
        reply = self._keys.reply(job_id)
        pipeline.rpush(reply, compact(body))
        pipeline.pexpire(reply, KEPT_MS)
        pipeline.delete(self._keys.ticket(job_id))
        pipeline.execute()
