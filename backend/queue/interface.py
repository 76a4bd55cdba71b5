"""What the service asks of a queue, whichever of the two shapes it has."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from backend.engine import Engine, ModelStatus, Question, Segmented
from backend.errors import DeadlineExceeded, MaskloopError
from backend.prompt_record import PromptRecord

log = logging.getLogger(__name__)

Outcome = Segmented
"""What comes of a job: mask, version, picture id, score and remembered steps."""


@dataclass(frozen=True)
class SegmentJob:
    """A request as it waits: small JSON and references, never a picture or a mask.

    The picture and the prompt's mask lie in the picture store. `milliseconds` is the time left to
    the answer when the job is submitted; whoever keeps the line turns it into a deadline by a
    clock of its own, so that no two machines' clocks are ever compared. The lower `priority` goes
    first. A job with a `supersede_key` replaces a waiting one with the same key whose prompt it
    extends.
    """

    request_id: str
    image_id: str
    model: str
    prompt: PromptRecord
    milliseconds: int
    object_id: str
    priority: int = 0
    supersede_key: str | None = None

    def supersedes(self, waiting: SegmentJob) -> bool:
        """Whether this job takes the place of a waiting one."""
        return (
            self.supersede_key is not None
            and self.supersede_key == waiting.supersede_key
            and self.prompt.extends(waiting.prompt)
        )

    def to_json(self) -> dict[str, Any]:
        """Texts, numbers, lists and null."""
        return {
            "request_id": self.request_id,
            "image_id": self.image_id,
            "model": self.model,
            "prompt": self.prompt.to_json(),
            "milliseconds": self.milliseconds,
            "object_id": self.object_id,
            "priority": self.priority,
            "supersede_key": self.supersede_key,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SegmentJob:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError for other data."""
        key = data["supersede_key"]
        return cls(
            request_id=str(data["request_id"]),
            image_id=str(data["image_id"]),
            model=str(data["model"]),
            prompt=PromptRecord.from_json(data["prompt"]),
            milliseconds=int(data["milliseconds"]),
            object_id=str(data["object_id"]),
            priority=int(data["priority"]),
            supersede_key=None if key is None else str(key),
        )


@dataclass(frozen=True)
class QueueStatus:
    """How the offered models stand, and what keeps the queue itself from working."""

    models: tuple[ModelStatus, ...]
    problems: tuple[str, ...] = ()


class Pending(Protocol):
    """A job that was taken."""

    def result(self, timeout: float) -> Outcome:
        """Wait up to `timeout` seconds. Raises the job's error, DeadlineExceeded beyond it."""


class RequestQueue(Protocol):
    """A line with a limit. Safe to use from many threads."""

    def submit(self, job: SegmentJob) -> Pending:
        """Take a job. Raises Busy where the line is full, QueueUnavailable where nobody serves."""

    def status(self) -> QueueStatus:
        """How things stand, without waiting for anything to load."""

    def start(self) -> None:
        """Begin loading the models, where this process does that."""

    def close(self) -> None:
        """Take no more jobs and finish those in work."""


class Deadline:
    """A point in time on a monotonic clock in seconds."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._at = clock() + seconds

    @property
    def remaining(self) -> float:
        """Seconds left; negative once it has passed."""
        return self._at - self._clock()

    def check(self) -> None:
        """Raise DeadlineExceeded once it has passed."""
        if self.remaining <= 0:
            raise too_late()


def too_late() -> DeadlineExceeded:
    """The error of an answer that was not ready in time."""
    return DeadlineExceeded(
        "the answer was not ready in time; try again, and if it happens often choose a faster "
        "model or device, or raise MASKLOOP_DEADLINE_SECONDS"
    )


def perform(engine: Engine, job: SegmentJob, deadline: Deadline) -> Outcome:
    """Have an engine do a job. Raises a MaskloopError, whatever goes wrong.

    The deadline is looked at here, when the job leaves the line, and before each pass.
    """
    try:
        deadline.check()
        return engine.segment(
            Question(job.image_id, job.model, job.prompt, job.priority, deadline.check)
        )
    except MaskloopError:
        raise
    except Exception as error:
        log.exception("request %s failed inside %s", job.request_id, job.model)
        raise MaskloopError(
            f"{job.model} failed on this request; the log has the details under {job.request_id}"
        ) from error
