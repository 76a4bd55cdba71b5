"""How a process of this backend writes its log: one line an event, on standard error."""

from __future__ import annotations

import logging
import time

FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s"


class _Utc(logging.Formatter):
    """Times in UTC, ISO-8601."""

    @staticmethod
    def converter(seconds: float | None) -> time.struct_time:
        """Seconds since the epoch as UTC."""
        return time.gmtime(seconds)


def configure(level: str) -> None:
    """Write `backend` and `models` from `level` on, everything else from warnings on."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Utc(FORMAT, "%Y-%m-%dT%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("backend", "models"):
        logging.getLogger(name).setLevel(level.upper())
