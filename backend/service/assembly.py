"""Puts a service together: inline, or through RQ."""

from __future__ import annotations

from backend.engine import Engine, SegmenterSource, ZooSegmenters
from backend.queue import RequestQueue
from backend.queue.inline import InlineQueue
from backend.queue.kept import Kept
from backend.redis_connection import connect
from backend.service import one_process
from backend.service.service import Service
from backend.settings import Settings
from backend.store import InteractionLog


def build(settings: Settings, source: SegmenterSource | None = None) -> Service:
    """The service of this process: inline, or through RQ where `settings.redis_url` is set.

    Nothing is loaded before `Service.start` or the first request. With RQ this process never
    imports torch. `source` gives the segmenters of an inline service; the zoo's by default.
    Raises InvalidSettings for a model that the zoo does not have, for an address of Redis that is
    none, and where several web processes of one server would each have an inline queue.
    """
    source = source or ZooSegmenters(settings)
    queue: RequestQueue
    if settings.redis_url is None:
        one_process.claim(settings.data_dir)
        kept = Kept.in_memory(settings)
        queue = InlineQueue(settings, Engine(settings, kept.pictures, kept.sessions, source))
    else:
        from backend.queue.rq_queue import RqQueue

        client = connect(settings.redis_url)
        kept = Kept.in_redis(settings, client)
        queue = RqQueue(settings, client, source)
    return Service(settings, queue, kept, InteractionLog.of(settings))
