"""The addresses that Label Studio calls on an ML backend.

Served here and not by label-studio-ml's own server, whose defects (`GET /versions` refused,
`/predict` failing before `/setup`, webhooks lost or run twice) would reach the annotator.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import flask

from backend.errors import (
    BodyTooLarge,
    InvalidRequest,
    InvalidSettings,
    MaskloopError,
    Superseded,
    Unauthorized,
    UnknownModelName,
)
from backend.frontends import access
from backend.frontends.label_studio import config
from backend.frontends.label_studio.connections import Connection, Connections, options
from backend.frontends.label_studio.images import Images
from backend.frontends.label_studio.policy import split
from backend.frontends.label_studio.predictions import TOOL, Predictions
from backend.http_errors import request_id
from backend.service import Service
from backend.settings import Settings
from backend.store import Database, EventJournal

log = logging.getLogger(__name__)

AGENT = "heartex/"
"""How Label Studio's ML calls begin to name themselves."""
ACTION = re.compile(r"[A-Za-z_]{1,64}")
TRAIN = "START_TRAINING"
UNVERIFIED_CHARACTERS = 16 << 20
"""Anybody who reaches the port can send an event; a project's masks stay far below this."""


def blueprint(service: Service, settings: Settings) -> flask.Blueprint:
    """All routes of the protocol. Raises InvalidSettings for an address of no use."""
    check_address(settings)
    database = Database(settings.database)
    # The first event must not wait for the tables: Label Studio gives it up after a second.
    threading.Thread(target=_open, args=(database,), daemon=True).start()
    journal = EventJournal(database, settings.data_dir)
    protocol = Protocol(service, settings, journal)
    routes = flask.Blueprint("label_studio", __name__)
    for path, method, view in (
        ("/health", "GET", protocol.health),
        ("/setup", "POST", protocol.setup),
        ("/predict", "POST", protocol.predict),
        ("/webhook", "POST", protocol.webhook),
        ("/versions", "GET", protocol.versions),
        ("/versions", "POST", protocol.versions),
        ("/train", "POST", protocol.train),
        ("/job_status", "POST", protocol.job_status),
        ("/validate", "POST", protocol.validate),
        ("/delete", "POST", protocol.delete),
        ("/duplicate_model", "POST", protocol.duplicate_model),
    ):
        name = f"{method.lower()}_{path.strip('/')}"
        routes.add_url_rule(path, name, view, methods=[method])
    return routes


def _open(database: Database) -> None:
    try:
        database.upgrade()
    except Exception as error:  # the next event tries again, and has a file to fall back on
        log.warning("the database for Label Studio's events does not open: %s", error)


def check_address(settings: Settings) -> None:
    """Raise InvalidSettings where LABEL_STUDIO_URL is no address that can be fetched from."""
    if settings.label_studio_url:
        try:
            split(settings.label_studio_url)
        except InvalidRequest:
            raise InvalidSettings(
                f"LABEL_STUDIO_URL is {settings.label_studio_url!r}: it must be the whole address, "
                "such as http://label-studio:8080"
            ) from None
    elif settings.label_studio_api_key:
        log.warning(
            "LABEL_STUDIO_API_KEY is set and LABEL_STUDIO_URL is not: the token goes to no host "
            "whose address is not configured, so it is without use"
        )


class Protocol:
    """One method for each address; each takes the current request and gives its answer."""

    def __init__(self, service: Service, settings: Settings, journal: EventJournal) -> None:
        self._service = service
        self._settings = settings
        self._journal = journal
        self._connections = Connections(settings.data_dir / "label_studio.json")
        self._predictions = Predictions(service, settings, self._connections, Images(settings))

    def health(self) -> flask.Response:
        """Alive; asked with a time-out of one second.

        Probes need no key. Label Studio without the right one is refused here already: its
        message then says so, where a refusal by `/setup` would read as a broken backend.
        """
        agent = flask.request.headers.get("User-Agent", "")
        if agent.startswith(AGENT) and not access.verified(flask.request, self._settings):
            raise Unauthorized(
                "set Basic Authentication in the connection, with MASKLOOP_API_KEY as the password"
            )
        return _json({"status": "UP", "model_class": "MaskloopBackend"})

    def setup(self) -> flask.Response:
        """Remember what concerns the project, and say which model answers it.

        Comes each time somebody opens the project: nothing is loaded and nothing reset.
        """
        body = _body()
        project = _project(body.get("project"))
        chosen = options(body.get("extra_params"))
        version = self._version(chosen.get("model"))
        connection = Connection(
            model=chosen.get("model"),
            scribbles=chosen.get("scribbles", True),
            hostname=_text(body.get("hostname")),
            token=_text(body.get("access_token")),
            local=access.from_this_machine(flask.request),
        )
        self._connections.remember(project, connection)
        _log_problems(project, _text(body.get("schema")) or "")
        return _json({"model_version": version})

    def predict(self) -> flask.Response:
        """Masks for a click, or an entry per task where nobody has clicked."""
        body = _body()
        tasks = body.get("tasks")
        if not isinstance(tasks, list):
            raise InvalidRequest("tasks must be a list of tasks", field="tasks")
        params = body.get("params")
        context = params.get("context") if isinstance(params, dict) else None
        if context is None:
            return _json({"results": self._predictions.batch(tasks)})
        named = body.get("project")
        project = None if named is None else _project(named)
        try:
            prediction = self._predictions.interactive(
                tasks, body.get("label_config") or "", context, project
            )
        except MaskloopError as error:
            # The editor shows no message: this line is all that anybody will see of it.
            task = tasks[0].get("id") if tasks and isinstance(tasks[0], dict) else None
            newer = isinstance(error, Superseded)
            log.log(
                logging.INFO if newer else logging.WARNING,
                "project %s, task %s: no mask for the click, %s: %s",
                project,
                task,
                error.code,
                error.message,
            )
            raise
        return _json({"results": [prediction]})

    def webhook(self) -> flask.Response:
        """Store what happened; whatever comes of it happens later.

        Label Studio waits one second, does not try again and sends no credentials, so an event
        without the key is stored as unverified.
        """
        text = _text_body()
        event = _parsed(text)
        action = event.get("action")
        if not isinstance(action, str) or not ACTION.fullmatch(action):
            raise InvalidRequest(
                f"action is {action!r:.80}: it must name what happened, as ANNOTATION_CREATED does",
                field="action",
            )
        if action == TRAIN:
            return self._called_for_training(event)
        self._store(action, text)
        return _json({"status": "stored"}, 201)

    def versions(self) -> flask.Response:
        """The version ids of the models served here, the default one first."""
        return _json({"versions": [each.version or each.name for each in self._service.offered()]})

    def train(self) -> flask.Response:
        """The call that older versions make instead of the webhook's START_TRAINING."""
        return self._called_for_training(_body())

    def job_status(self) -> flask.Response:
        """There are no jobs to ask about: 410 means removed."""
        _body()
        return _json({"error": {"code": "not_found", "message": "there is no such job"}}, 410)

    def validate(self) -> flask.Response:
        """What keeps smart tools from working under a labeling configuration."""
        found = config.problems(str(_body().get("config") or ""))
        return _json({"valid": not found, "problems": found})

    def delete(self) -> flask.Response:
        """Forget a project."""
        self._connections.forget(_project(_body().get("project")))
        return _json({})

    def duplicate_model(self) -> flask.Response:
        """Give a copied project the model of the original."""
        body = _body()
        source = self._connections.of(_project(body.get("project_src"))).lasting
        self._connections.remember(_project(body.get("project_dst")), source)
        return _json({})

    def _version(self, model: str | None) -> str:
        """The version id of a model, its name as long as that is unknown."""
        offered = self._service.offered()
        for offer in offered:
            if model is None or model in {offer.name, offer.name.partition("@")[0]}:
                return offer.version or offer.name
        raise UnknownModelName(
            f"extra_params.model is {model!r}, which is not served here: use one of "
            f"{', '.join(offer.name for offer in offered)}, or add it to MASKLOOP_MODELS",
            field="extra_params",
        )

    def _called_for_training(self, event: Mapping[str, Any]) -> flask.Response:
        """The journal keeps equal events once, but each press of the button is an event."""
        self._store(TRAIN, json.dumps({**event, "request_id": request_id()}))
        return _json({"status": "stored"}, 201)

    def _store(self, action: str, text: str) -> None:
        verified = access.verified(flask.request, self._settings)
        if not verified and len(text) > UNVERIFIED_CHARACTERS:
            raise BodyTooLarge(
                f"the event has {len(text)} characters, more than the {UNVERIFIED_CHARACTERS} that "
                "go without the API key: add an Authorization header to the webhook's headers"
            )
        self._journal.append(TOOL, action, text, verified)


def _body() -> Mapping[str, Any]:
    return _parsed(_text_body())


def _text_body() -> str:
    return flask.request.get_data(cache=False).decode("utf-8", "replace")


def _parsed(text: str) -> Mapping[str, Any]:
    """The JSON object in a body. Raises InvalidRequest where there is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"the request's body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise InvalidRequest("the request's body must be a JSON object")
    return found


def _project(value: object) -> str:
    if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
        raise InvalidRequest(
            f"project is {value!r:.80}: it must be the project's id", field="project"
        )
    return str(value)[:200]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


@lru_cache(maxsize=256)
def _log_problems(project: str, schema: str) -> None:
    """Say once for each configuration what will not work under it."""
    for problem in config.problems(schema):
        log.warning("project %s: %s", project, problem)


def _json(body: object, status: int = 200) -> flask.Response:
    text = json.dumps(body, separators=(",", ":"))
    return flask.Response(text, status, mimetype="application/json")
