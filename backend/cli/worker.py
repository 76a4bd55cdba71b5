"""`worker`: the process that owns the device, where requests come through Redis."""

from __future__ import annotations


def worker() -> None:
    """Take requests from Redis and answer them on this machine's device.

    Start one for each device, and choose that with MASKLOOP_DEVICE. Needs REDIS_URL.
    """
    from backend import logs
    from backend.settings import load
    from backend.worker import run

    settings = load()
    logs.configure(settings.log_level)
    run(settings)
