"""What Label Studio asks for: masks of the objects that an annotator points at."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.errors import InvalidRequest
from backend.frontends.label_studio import config, items, prompts, results, strokes
from backend.frontends.label_studio.config import LabelConfig, Output
from backend.frontends.label_studio.connections import Connection, Connections, instance
from backend.frontends.label_studio.images import Images, Source
from backend.frontends.label_studio.items import ObjectItems
from backend.pictures import PictureLimits, inspect
from backend.service import Answer, Origin, SegmentRequest, Service
from backend.settings import Settings

log = logging.getLogger(__name__)

TOOL = "label-studio"

Json = Mapping[str, Any]
Prediction = dict[str, Any]


@dataclass
class Predictions:
    """Turns Label Studio's requests into the service's and answers into regions."""

    service: Service
    settings: Settings
    connections: Connections
    images: Images
    clock: Callable[[], float] = time.monotonic

    def batch(self, tasks: Sequence[object]) -> list[list[Prediction]]:
        """One entry per task, each without a prediction: nobody has pointed at anything.

        An entry with an empty result would become a stored prediction, which the editor then
        offers as the beginning of the annotation and which hides the task from later requests.
        """
        return [[] for _ in tasks]

    def interactive(
        self, tasks: Sequence[object], xml: str, context: object, project: str | None = None
    ) -> Prediction:
        """The prediction for the task being annotated: every object that was pointed at.

        Raises a MaskloopError that names what is wrong with which field.
        """
        if _is_over(context):
            return {"result": []}
        if not tasks or not isinstance(tasks[0], dict):
            raise InvalidRequest(
                "tasks must be a list with the task being annotated", field="tasks"
            )
        labeling = config.parse(xml)
        pointed = items.read(context, labeling, self.settings.max_clicks)
        # A label without a place is found before anything is fetched or computed.
        outputs = [labeling.output(each.image, each.label) for each in pointed]
        end = self.clock() + self.settings.deadline_seconds
        task, connection = tasks[0], self.connections.of(project)
        parts = [
            self._object(each, output, _Asked(task, labeling, project, connection, end))
            for each, output in zip(pointed, outputs, strict=True)
        ]
        return _joined(parts)

    def _object(self, pointed: ObjectItems, output: Output, asked: _Asked) -> _Part:
        """The regions of one object."""
        data = self.images.fetch(_address(pointed, asked), self._source(asked))
        limits = PictureLimits.of(self.settings)
        info = inspect(data, limits)
        draft = self._draft(pointed, asked)
        prompt = prompts.prompt(pointed, (info.height, info.width), limits, draft)
        answer = self.service.segment(
            SegmentRequest(
                image=data,
                prompt=prompt,
                origin=_origin(pointed, asked),
                model=asked.connection.model,
                deadline_seconds=max(0.001, asked.end - self.clock()),
            )
        )
        log.info(
            "request %s: project %s, task %s: %d prompts, %d strokes, %d pixels by %s in %.0f ms",
            answer.request_id,
            asked.project,
            asked.task.get("id"),
            len(pointed.items),
            len(prompt.scribbles),
            answer.mask.area,
            answer.version,
            answer.milliseconds,
        )
        place = results.Placement(
            output=output,
            image=pointed.image,
            labels=pointed.labels or _only_label(output),
            seed=pointed.key or answer.object_id,
            index=pointed.index,
        )
        return _Part(answer, results.regions(answer.mask, answer.score, place))

    def _draft(self, pointed: ObjectItems, asked: _Asked) -> Json | None:
        """The task, where the strokes of its draft count and there is room for them."""
        room = self.settings.max_clicks - len(pointed.items)
        return asked.task if asked.connection.scribbles and room >= strokes.MAX_DRAWN else None

    def _source(self, asked: _Asked) -> Source:
        return Source(
            task=_text(asked.task.get("id")),
            project=asked.project,
            instance=instance(self.settings, asked.connection),
            alias=asked.connection.hostname,
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    """What all objects of one call have in common; `end` is the deadline by the clock."""

    task: Json
    labeling: LabelConfig
    project: str | None
    connection: Connection
    end: float


@dataclass(frozen=True, slots=True)
class _Part:
    answer: Answer
    regions: list[results.Region]


def _is_over(context: object) -> bool:
    """Whether the last prompt has gone, as after a submission: nothing to do, and quickly."""
    return isinstance(context, dict) and context.get("result") == []


def _joined(parts: Sequence[_Part]) -> Prediction:
    prediction: Prediction = {"result": [region for part in parts for region in part.regions]}
    scores = [part.answer.score for part in parts if part.answer.score is not None]
    if parts:
        prediction["model_version"] = parts[0].answer.version
    if scores:
        prediction["score"] = sum(scores) / len(scores)
    return prediction


def _address(pointed: ObjectItems, asked: _Asked) -> str:
    data = asked.task.get("data")
    if not isinstance(data, dict):
        raise InvalidRequest("tasks[0].data must be an object", field="tasks[0].data")
    several = config.addresses(asked.labeling.image(pointed.image), data)
    index = pointed.index or 0
    if index >= len(several):
        raise InvalidRequest(
            f"item_index is {index}, and the task has {len(several)} pictures", field="item_index"
        )
    return several[index]


def _origin(pointed: ObjectItems, asked: _Asked) -> Origin:
    """Whose work this is.

    Label Studio does not say who clicks. The first prompt's id was drawn at random in one
    person's editor and comes back with each further click, so it stands for the person too.
    """
    return Origin(
        tool=TOOL,
        project=asked.project,
        task=_text(asked.task.get("id")),
        user=pointed.key,
        object_id=results.region_id(pointed.key) if pointed.key else None,
    )


def _only_label(output: Output) -> tuple[str, ...]:
    """What a prompt without a label must mean: the one there is."""
    labels = (output.classes or output.control).labels
    return labels if len(labels) == 1 else ()


def _text(value: object) -> str | None:
    return None if value is None else str(value)
