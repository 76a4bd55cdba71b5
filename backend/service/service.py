"""What a request means: picture, prompt, session, answer. Knows no tool and no queue technology."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

from backend import pictures
from backend.engine import ModelStatus
from backend.errors import InvalidRequest, MaskloopError
from backend.masks import Mask
from backend.prompt_record import PromptRecord, compact
from backend.queue import RequestQueue, SegmentJob
from backend.queue.interface import Deadline, Outcome
from backend.queue.kept import Kept
from backend.service import models_offered
from backend.service.messages import Answer, ModelOffer, Origin, Readiness, SegmentRequest
from backend.service.validation import checked
from backend.settings import Settings
from backend.store import Interaction, InteractionLog
from models.prompts import Prompt


class Service:
    """Answers segmentation requests. Safe to use from many threads.

    Assembled by `backend.service.build`; frontends hold one and know nothing beneath it.
    """

    def __init__(
        self,
        settings: Settings,
        queue: RequestQueue,
        kept: Kept,
        interactions: InteractionLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        models_offered.check_names(settings.offered_models)
        self.settings = settings
        self._queue = queue
        self._kept = kept
        self._log = interactions
        self._clock = clock
        self._limits = pictures.PictureLimits.of(settings)

    def start(self) -> None:
        """Begin loading the models in the background; returns at once."""
        self._queue.start()
        self._log.start()

    def close(self) -> None:
        """Stop taking requests, finish those in work and write what is still to be logged."""
        self._queue.close()
        self._log.close()

    def segment(self, request: SegmentRequest) -> Answer:
        """The mask of one prompt, within the deadline.

        A prompt that does not say where the object is (nothing at all, only negative clicks, all
        of it outside the picture) gives an empty mask. Raises a `MaskloopError` otherwise:
        InvalidRequest, InvalidImage, ImageTooLarge, BodyTooLarge, UnknownModelName, Superseded,
        Busy, DeadlineExceeded, WeightsMissing, OutOfMemory, QueueUnavailable.
        """
        started = self._clock()
        task = self._understand(request)
        try:
            outcome = self._answer(task)
        except MaskloopError as error:
            self._record(task, self._milliseconds(started), error=error.code)
            raise
        answer = Answer(
            request_id=request.request_id,
            object_id=task.object_id,
            image_id=task.image_id,
            picture_id=outcome.picture_id,
            version=outcome.version,
            mask=outcome.mask,
            score=outcome.score,
            remembered=outcome.remembered,
            milliseconds=self._milliseconds(started),
            aborted=outcome.aborted,
        )
        self._record(task, answer.milliseconds, answer)
        return answer

    def picture(self, image_id: str) -> bytes | None:
        """The encoded picture of an earlier answer, None where it is no longer remembered.

        Raises QueueUnavailable where Redis does not answer.
        """
        return self._kept.pictures.get(image_id)

    def offered(self) -> list[ModelOffer]:
        """The models served here, the default one first. Never waits for a model to load."""
        return [models_offered.offer(status) for status in self._queue.status().models]

    def ready(self) -> Readiness:
        """Whether a click would be answered now, and if not, what to type.

        A further model that cannot answer is a problem too, but the default one decides.
        """
        status = self._queue.status()
        problems = [*status.problems, *(model.problem for model in status.models if model.problem)]
        ready = not status.problems and status.models[0].problem is None
        return Readiness(ready, tuple(dict.fromkeys(problems)))

    def _understand(self, request: SegmentRequest) -> _Task:
        """Check a request and find the order of its clicks and the object they belong to."""
        deadline = Deadline(self._seconds(request), self._clock)
        info = pictures.inspect(request.image, self._limits)
        size = info.height, info.width
        prompt = checked(request.prompt, size, self.settings.max_clicks)
        model = models_offered.meant(request.model, self._queue.status().models)
        image_id = pictures.image_id(request.image)
        record = PromptRecord.of(prompt)
        scope, trails = _scope(request.origin), self._kept.trails
        trail = trails.follow(image_id, scope, record, request.ordered)
        object_id = request.origin.object_id or trail.object_id or uuid.uuid4().hex
        if record.clicks or record.has_base:
            trails.remember(image_id, scope, record, replace(trail, object_id=object_id))
        return _Task(
            request,
            deadline,
            size,
            model,
            image_id,
            replace(prompt, clicks=trail.clicks),
            replace(record, clicks=trail.clicks),
            trail.order_known,
            object_id,
        )

    def _answer(self, task: _Task) -> Outcome:
        """Have the queue answer, with picture and mask kept for as long as that takes."""
        store = self._kept.pictures
        with ExitStack() as held:
            held.enter_context(store.held(task.image_id, task.request.image))
            if not task.prompt.points_at_something:
                version = task.model.version or task.model.name
                return Outcome(Mask.empty(task.size), version, "", None, 0)
            if task.record.mask is not None and task.prompt.mask is not None:
                held.enter_context(store.mask_held(task.record.mask, task.prompt.mask))
            return self._queue.submit(_job(task)).result(task.deadline.remaining)

    def _record(
        self,
        task: _Task,
        milliseconds: float,
        answer: Answer | None = None,
        error: str | None = None,
    ) -> None:
        """Leave a request to the log, which writes in its own time."""
        origin = task.request.origin
        interaction = Interaction(
            request_id=task.request.request_id,
            tool=origin.tool,
            image_id=task.image_id,
            prompt=task.record,
            milliseconds=milliseconds,
            object_id=task.object_id,
            project=origin.project,
            task=origin.task,
            user=origin.user,
            picture_id=(answer.picture_id or None) if answer else None,
            width=task.size[1],
            height=task.size[0],
            order_known=task.order_known,
            version=answer.version if answer else task.model.version or task.model.name,
            remembered=answer.remembered if answer else 0,
            score=answer.score if answer else None,
            mask=answer.mask if answer else None,
            error=error,
        )
        self._log.record(interaction, task.request.image)

    def _milliseconds(self, started: float) -> float:
        return (self._clock() - started) * 1000

    def _seconds(self, request: SegmentRequest) -> float:
        seconds = request.deadline_seconds
        if seconds is None:
            return self.settings.deadline_seconds
        if not math.isfinite(seconds) or seconds <= 0:
            raise InvalidRequest(
                f"deadline_seconds is {seconds}; give a number of seconds above 0",
                field="deadline_seconds",
            )
        return seconds


@dataclass(frozen=True)
class _Task:
    """What was understood of a request."""

    request: SegmentRequest
    deadline: Deadline
    size: tuple[int, int]
    model: ModelStatus
    image_id: str
    prompt: Prompt
    record: PromptRecord
    order_known: bool
    object_id: str


def _job(task: _Task) -> SegmentJob:
    return SegmentJob(
        request_id=task.request.request_id,
        image_id=task.image_id,
        model=task.model.name,
        prompt=task.record,
        milliseconds=int(task.deadline.remaining * 1000),
        object_id=task.object_id,
        priority=task.request.priority,
        supersede_key=_supersede_key(task.request.origin, task.object_id),
    )


def _scope(origin: Origin) -> str:
    """Within which work prompts can extend each other."""
    return compact([origin.tool, origin.project, origin.task, origin.user])


def _supersede_key(origin: Origin, object_id: str) -> str | None:
    """What jobs share that may replace each other; None where it is not known whose they are."""
    if origin.user is None or origin.task is None:
        return None
    return compact([origin.tool, origin.project, origin.task, origin.user, object_id])
