"""The backend's own HTTP interface: /api/v1, health, readiness, and what there is at /."""

from __future__ import annotations

import flask

from backend.frontends.rest.openapi import document
from backend.frontends.rest.reading import read
from backend.frontends.rest.schema import (
    HealthOutput,
    ModelOutput,
    ModelsOutput,
    Output,
    ReadyOutput,
)
from backend.frontends.rest.writing import write, write_png
from backend.pictures import PictureLimits
from backend.service import Service
from backend.settings import Settings
from backend.version import VERSION

PLACES = {
    "segment": "POST /api/v1/segment",
    "models": "GET /api/v1/models",
    "openapi": "GET /api/v1/openapi.json",
    "health": "GET /healthz",
    "ready": "GET /readyz",
    "cvat": "GET /api/functions",
    "label_studio": "GET /health",
}


def blueprint(service: Service, settings: Settings) -> flask.Blueprint:
    """The REST interface to `service`."""
    routes = flask.Blueprint("rest", __name__)
    limits = PictureLimits.of(settings)
    described = flask.json.dumps(document())

    @routes.get("/")
    def index() -> flask.Response:
        return flask.jsonify(name="maskloop", version=VERSION, addresses=PLACES)

    @routes.get("/healthz")
    def healthz() -> flask.Response:
        return _json(HealthOutput(status="UP"))

    @routes.get("/readyz")
    def readyz() -> flask.Response:
        state = service.ready()
        response = _json(ReadyOutput(ready=state.ready, problems=list(state.problems)))
        response.status_code = 200 if state.ready else 503
        return response

    @routes.get("/api/v1/models")
    def models() -> flask.Response:
        offers = [
            ModelOutput(
                name=offer.name,
                version=offer.version,
                loaded=offer.loaded,
                prompts=list(offer.prompts),
                problem=offer.problem,
            )
            for offer in service.offered()
        ]
        return _json(ModelsOutput(models=offers))

    @routes.get("/api/v1/openapi.json")
    def openapi() -> flask.Response:
        return flask.Response(described, mimetype="application/json")

    @routes.post("/api/v1/segment")
    def segment() -> flask.Response:
        asked, wish = read(flask.request, limits, service.picture)
        answer = service.segment(asked)
        accepted = flask.request.accept_mimetypes
        if accepted.best_match(["application/json", "image/png"]) == "image/png":
            return write_png(answer)
        return write(answer, wish.format, wish.tolerance)

    return routes


def _json(body: Output) -> flask.Response:
    return flask.Response(body.model_dump_json(), mimetype="application/json")
