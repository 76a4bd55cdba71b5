"""Maskloop as a nuclio function: what nuclio's Python wrapper imports and calls.

`function.yaml` names `backend.frontends.cvat.nuclio:handler`. The wrapper calls `init_context`
once in each worker process and then `handler` for one event after the other, on one thread,
whatever the path and method. The context's logger writes to the socket that carries the answers
and is no business of any other thread; ours log to stderr, which ends in the same container log.
"""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.errors import HTTP_STATUS, MaskloopError
from backend.frontends.cvat import call
from backend.http_errors import INTERNAL
from backend.service import Service, build
from backend.service.messages import new_request_id
from backend.settings import Settings, load

LOADING_SECONDS = 150.0
"""Longest wait for the model before the function says that it has started."""


@dataclass(frozen=True)
class Function:
    """What lives as long as the process: kept in the context's `user_data.maskloop`."""

    service: Service
    settings: Settings


def init_context(context: Any) -> None:
    """Build the service from the environment and load the default model before the first click.

    Contradictory settings end the process, so that the deployment fails and says why. Missing
    weights do not: the log and every answer's error say what to type.
    """
    try:
        settings = load()
        _log_to_stderr(settings)
        service = build(settings)
    except MaskloopError as error:
        context.logger.error(f"cannot start: {error.message}")
        raise
    service.start()
    context.user_data.maskloop = Function(service, settings)
    register = getattr(context.platform, "set_termination_callback", None)
    if register is not None:  # older nuclio just ends the process
        register(service.close)
    _wait_for_model(context, service)


def handler(context: Any, event: Any) -> Any:
    """Answer one interactor call; every failure is a response, none an exception."""
    request_id = new_request_id()
    try:
        function: Function = context.user_data.maskloop
        text = call.run(
            function.service,
            function.settings,
            body=event.body,
            user_agent=_header(event.headers, "User-Agent"),
            request_id=request_id,
        )
    except MaskloopError as error:
        context.logger.warn_with(
            error.message, code=error.code, field=error.field, request_id=request_id
        )
        return _failure(context, error, request_id)
    except Exception as error:
        context.logger.error_with(
            f"request failed: {error!r}", request_id=request_id, traceback=traceback.format_exc()
        )
        return _failure(context, MaskloopError(INTERNAL), request_id)
    return _response(context, text, 200)


def _response(context: Any, text: str, status: int) -> Any:
    return context.Response(
        body=text, headers={}, content_type="application/json", status_code=status
    )


def _failure(context: Any, error: MaskloopError, request_id: str) -> Any:
    body = {
        "code": error.code,
        "message": error.message,
        "field": error.field,
        "request_id": request_id,
    }
    return _response(context, json.dumps({"error": body}), HTTP_STATUS[error.code])


def _header(headers: Mapping[Any, Any] | None, name: str) -> str | None:
    """A header in whatever capitalisation; the wrapper may leave names and values as bytes."""
    for key, value in (headers or {}).items():
        if _text(key).lower() == name.lower():
            return _text(value)
    return None


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _wait_for_model(context: Any, service: Service) -> None:
    """Return when the default model is loaded, cannot be, or has had long enough."""
    end = time.monotonic() + LOADING_SECONDS
    while not (model := service.offered()[0]).loaded:
        readiness = service.ready()
        if not readiness.ready or time.monotonic() > end:
            problems = readiness.problems or (f"{model.name} is still loading",)
            context.logger.error_with("not ready", problems=list(problems))
            return
        time.sleep(0.1)
    context.logger.info_with("ready", model=model.version)


def _log_to_stderr(settings: Settings) -> None:
    log = logging.getLogger("backend")
    log.setLevel(settings.log_level.upper())
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        log.addHandler(handler)
