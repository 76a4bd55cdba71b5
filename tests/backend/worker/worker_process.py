"""A worker process for tests: the real one, with the growing segmenter.

A click at x = 13 ends the process as a crash does. One at x = 7 tells, once for each process, that
it has begun, and waits until it is let go.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

from backend.redis_connection import connect
from backend.settings import load
from backend.worker import run
from models.segmenter import Query
from tests.backend.growing import PACE, Growing, GrowingSource

BEGUN, GO = "test:begun", "test:go"


def main() -> None:
    settings = load()
    client: Any = connect(settings.redis_url or "")

    def before(queries: Sequence[Query]) -> None:
        for query in queries:
            if query.prompt.clicks[-1].x == 13:
                os.kill(os.getpid(), signal.SIGKILL)
            if query.prompt.clicks[-1].x == 7:
                client.rpush(f"{settings.queue_name}:{BEGUN}", os.getpid())
                client.blpop([f"{settings.queue_name}:{GO}"], timeout=4)

    run(settings, GrowingSource(Growing(before_pass=before)), PACE)


if __name__ == "__main__":
    main()
