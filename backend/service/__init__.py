"""The one thing that all frontends talk to."""

from __future__ import annotations

from backend.service.messages import Answer, ModelOffer, Origin, Readiness, SegmentRequest
from backend.service.service import Service
from backend.settings import Settings

__all__ = [
    "Answer",
    "ModelOffer",
    "Origin",
    "Readiness",
    "SegmentRequest",
    "Service",
    "build",
]


def build(settings: Settings) -> Service:
    """The service of this process: inline, or through RQ where `settings.redis_url` is set.

    Nothing is loaded before `Service.start`. Raises InvalidSettings where several web processes
    of one server would each run their own inline queue.
    """
    return Service(settings)
