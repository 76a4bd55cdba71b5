"""The three calls of nuclio's dashboard that CVAT makes, and the call of a function itself.

With `CVAT_NUCLIO_HOST` and `CVAT_NUCLIO_PORT` pointing here, CVAT needs no nuclio: it lists the
models, and calls them either through `/api/function_invocations`, which says which one is meant,
or directly (`POST /`), which does not and so reaches the default model.
"""

from __future__ import annotations

import json
import logging

import flask
from werkzeug.datastructures import Headers

from backend import http_errors
from backend.errors import InvalidRequest, MaskloopError, NotFound
from backend.frontends.cvat import call, functions
from backend.service import ModelOffer, Service
from backend.settings import Settings

log = logging.getLogger(__name__)

FUNCTION_NAME = "X-Nuclio-Function-Name"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def blueprint(service: Service, settings: Settings) -> flask.Blueprint:
    """CVAT's routes over `service`."""
    routes = flask.Blueprint("cvat", __name__)
    if len(settings.offered_models) > 1:
        log.info(
            "CVAT reaches models other than %s only with CVAT_NUCLIO_INVOKE_METHOD=dashboard",
            settings.model,
        )

    @routes.post("/")
    def invoke_default() -> flask.Response:
        return _invoke(service, settings, None)

    @routes.post("/api/function_invocations")
    def invoke_named() -> flask.Response:
        return _invoke(service, settings, _named(service, flask.request.headers).name)

    @routes.get("/api/functions")
    def list_functions() -> flask.Response:
        return _json(_functions(service))

    @routes.get("/api/functions/<name>")
    def get_function(name: str) -> flask.Response:
        found = _functions(service).get(name)
        if found is None:
            raise _unknown(service, name)
        return _json(found)

    routes.register_error_handler(MaskloopError, _refuse)
    return routes


def _invoke(service: Service, settings: Settings, model: str | None) -> flask.Response:
    text = call.run(
        service,
        settings,
        body=flask.request.get_data(cache=False),
        user_agent=flask.request.headers.get("User-Agent"),
        request_id=http_errors.request_id(),
        model=model,
    )
    return flask.Response(text, mimetype="application/json")


def _json(value: object) -> flask.Response:
    """`value` with its keys in their order, which is that of CVAT's menu."""
    return flask.Response(json.dumps(value), mimetype="application/json")


def _functions(service: Service) -> dict[str, dict[str, object]]:
    """Every model as a function, the default one first; nothing here waits for a model."""
    port = _port()
    offers = functions.by_id(service.offered())
    return {
        name: functions.function(offer, port, default=number == 0)
        for number, (name, offer) in enumerate(offers.items())
    }


def _named(service: Service, headers: Headers) -> ModelOffer:
    """The model of the function that the request's header names."""
    name = headers.get(FUNCTION_NAME)
    if not name:
        raise InvalidRequest(
            f"the header {FUNCTION_NAME} is missing; it must name the function to call",
            field=FUNCTION_NAME,
        )
    offer = functions.by_id(service.offered()).get(name)
    if offer is None:
        raise _unknown(service, name)
    return offer


def _unknown(service: Service, name: str) -> NotFound:
    known = ", ".join(functions.by_id(service.offered()))
    return NotFound(f"there is no function {name[:80]!r} here; there are {known}")


def _port() -> int:
    """The port at which the caller reached this server, as CVAT's direct calls need it."""
    name, _, port = flask.request.host.rpartition(":")
    if name and port.isdecimal():
        return int(port)
    return _DEFAULT_PORTS.get(flask.request.scheme, 80)


def _refuse(error: MaskloopError) -> flask.Response:
    """The error as everywhere. CVAT shows its users the status alone, so the log has the rest."""
    log.warning("CVAT's call %s: %s: %s", http_errors.request_id(), error.code, error.message)
    return http_errors.answer(error)
