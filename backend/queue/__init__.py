"""The line of requests before the engine: in this process, or in Redis through RQ."""

from __future__ import annotations

from backend.queue.interface import Outcome, Pending, QueueStatus, RequestQueue, SegmentJob

__all__ = ["Outcome", "Pending", "QueueStatus", "RequestQueue", "SegmentJob"]
