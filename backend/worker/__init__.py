"""The process that owns one device: RQ jobs in threads, one engine, its own recovery."""

from __future__ import annotations

from backend.worker.process import WorkerProcess, run
from backend.worker.recovery import Pace

__all__ = ["Pace", "WorkerProcess", "run"]
