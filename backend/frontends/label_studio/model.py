"""The backend as a class for label-studio-ml's own server.

    from label_studio_ml.api import init_app
    app = init_app(model_class=MaskloopBackend, model_dir="/tmp")

It shares everything with `backend.frontends.label_studio.routes`, which serves the same protocol
without the defects of that server and is what `_wsgi.py` starts. Importing this module imports
label-studio-ml and, through it, torch.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from label_studio_ml.model import LabelStudioMLBase

from backend.errors import InvalidRequest
from backend.frontends.label_studio.connections import Connection, Connections
from backend.frontends.label_studio.images import Images
from backend.frontends.label_studio.predictions import TOOL, Prediction, Predictions
from backend.service import Service, build
from backend.settings import Settings, load
from backend.store import Database, EventJournal

PROJECT = "label-studio-ml"
"""That server tells a model nothing of the project it answers for."""

_building = threading.Lock()


class MaskloopBackend(LabelStudioMLBase):  # type: ignore[misc]
    """Masks for smart tools. One service is shared by all instances of a process.

    The server makes an instance at each `/setup` and in each job, so making one costs nothing.
    `service` and `settings` may be given to `init_app`; without them they come from the
    environment at the first prediction.
    """

    TRAIN_EVENTS = (
        "ANNOTATION_CREATED",
        "ANNOTATIONS_CREATED",
        "ANNOTATION_UPDATED",
        "ANNOTATION_DELETED",
        "ANNOTATIONS_DELETED",
        "PROJECT_UPDATED",
        "START_TRAINING",
    )

    def __init__(
        self,
        label_config: str | None = None,
        train_output: Mapping[str, Any] | None = None,
        service: Service | None = None,
        settings: Settings | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(label_config=label_config, train_output=train_output, **kwargs)
        self._given = (settings, service)

    def predict(
        self,
        tasks: Sequence[Mapping[str, Any]],
        context: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        """One entry per task, or for an interactive call one prediction in a list.

        Raises a MaskloopError that names what is wrong; the server answers it with status 500.
        """
        predictions = self._predictions()
        if context is None:
            return list(predictions.batch(tasks))
        prediction: Prediction = predictions.interactive(
            tasks, self.label_config or "", context, PROJECT
        )
        return [prediction]

    def fit(
        self,
        tasks: Sequence[Any],
        workdir: str | None = None,
        event: str | None = None,
        data: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Store the event that called for training; it runs in a process of its own."""
        if not event:
            raise InvalidRequest("fit needs the event that called for it", field="event")
        settings = self._given[0] or load()
        body = json.dumps({"action": event, **(data or {})})
        journal = EventJournal(Database(settings.database), settings.data_dir)
        journal.append(TOOL, event, body, False)
        return {"status": "stored"}

    def _predictions(self) -> Predictions:
        settings, service = self._given
        if settings is None or service is None:
            with _building:
                settings, service = _from_environment()
        predictions = _assembled(settings, service)
        predictions.connections.remember(
            PROJECT, Connection(hostname=self.hostname or None, token=self.access_token or None)
        )
        return predictions


@lru_cache(maxsize=1)
def _from_environment() -> tuple[Settings, Service]:
    """The service of this process, built and started once."""
    settings = load()
    service = build(settings)
    service.start()
    return settings, service


@lru_cache(maxsize=4)
def _assembled(settings: Settings, service: Service) -> Predictions:
    """What the instances share: pictures and tokens fetched for one serve the next."""
    connections = Connections(settings.data_dir / "label_studio_ml.json")
    return Predictions(service, settings, connections, Images(settings))
