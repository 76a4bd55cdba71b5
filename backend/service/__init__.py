"""The one thing that all frontends talk to."""

from __future__ import annotations

from backend.service.assembly import build
from backend.service.messages import Answer, ModelOffer, Origin, Readiness, SegmentRequest
from backend.service.service import Service

__all__ = [
    "Answer",
    "ModelOffer",
    "Origin",
    "Readiness",
    "SegmentRequest",
    "Service",
    "build",
]
