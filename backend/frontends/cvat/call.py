"""One interactor call from body to answer, however it arrived."""

from __future__ import annotations

import time
from dataclasses import replace

from backend.frontends.cvat import answer, protocol
from backend.service import Answer, SegmentRequest, Service
from backend.settings import Settings

SHORTEST = 0.001
"""Seconds that a request is given whose call has used up its time: enough to be refused."""


def run(
    service: Service,
    settings: Settings,
    *,
    body: object,
    user_agent: str | None,
    request_id: str,
    model: str | None = None,
) -> str:
    """The JSON text of the answer to CVAT's payload `body`: JSON text, or parsed already.

    `model` is None for the default model. Raises a `MaskloopError` as `Service.segment` does.
    """
    requests = protocol.parse(protocol.read(body), model)
    answers = _segment(service, requests, settings.deadline_seconds, request_id)
    return answer.render(answer.form(user_agent, settings.cvat_version), answers)


def _segment(
    service: Service, requests: list[SegmentRequest], seconds: float, request_id: str
) -> list[Answer]:
    """The answers to all requests of a call, which share its deadline."""
    if len(requests) == 1:
        return [service.segment(replace(requests[0], request_id=request_id))]
    end = time.monotonic() + seconds
    return [
        service.segment(
            replace(
                request,
                request_id=f"{request_id}-{number}",
                deadline_seconds=max(end - time.monotonic(), SHORTEST),
            )
        )
        for number, request in enumerate(requests, start=1)
    ]
