"""Every error as an answer: the one table of `backend.errors` turned into HTTP.

    {"error": {"code": ..., "message": ..., "field": ..., "request_id": ...}}

A frontend whose tool wants another form registers handlers of its own blueprint, which come first.
"""

from __future__ import annotations

import logging

import flask
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from backend.errors import (
    HTTP_STATUS,
    BodyTooLarge,
    InvalidRequest,
    MaskloopError,
    MethodNotAllowed,
    NotFound,
)
from backend.service.messages import new_request_id

log = logging.getLogger(__name__)

INTERNAL = "something went wrong here; the server's log has the details under this request_id"


def request_id() -> str:
    """The id of the HTTP request being answered, made where it has none yet."""
    if "request_id" not in flask.g:
        flask.g.request_id = new_request_id()
    return str(flask.g.request_id)


def body_too_large(limit: int) -> BodyTooLarge:
    """The error for a request body over `limit` bytes."""
    return BodyTooLarge(
        f"the request body is larger than {limit} bytes; send a smaller picture, "
        "or raise MASKLOOP_MAX_BODY_BYTES"
    )


def answer(error: MaskloopError) -> flask.Response:
    """The error as JSON with its HTTP status."""
    body = {
        "code": error.code,
        "message": error.message,
        "field": error.field,
        "request_id": request_id(),
    }
    response = flask.jsonify({"error": body})
    response.status_code = HTTP_STATUS[error.code]
    if response.status_code == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="maskloop"'
    return response


def register(app: flask.Flask) -> None:
    """Make `app` answer every exception in this form."""
    app.register_error_handler(MaskloopError, _expected)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _expected(error: MaskloopError) -> flask.Response:
    level = logging.WARNING if HTTP_STATUS[error.code] >= 500 else logging.INFO
    log.log(level, "request %s: %s: %s", request_id(), error.code, error.message)
    return answer(error)


def _http(error: HTTPException) -> flask.Response:
    """Werkzeug's own errors in our words; what is none of the caller's doing counts as ours."""
    path, method = flask.request.path, flask.request.method
    if isinstance(error, RequestEntityTooLarge):
        return answer(body_too_large(flask.current_app.config["MAX_CONTENT_LENGTH"]))
    if error.code == 404:
        return answer(NotFound(f"there is nothing at {path}; GET / lists the addresses"))
    if error.code == 405:
        return answer(
            MethodNotAllowed(f"{path} does not answer {method}; GET / lists the addresses")
        )
    if error.code is not None and error.code < 500:
        return answer(InvalidRequest(f"the request cannot be read: {error.description}"))
    return _unexpected(error)


def _unexpected(error: Exception) -> flask.Response:
    log.error("request %s failed", request_id(), exc_info=error)
    return answer(MaskloopError(INTERNAL))
