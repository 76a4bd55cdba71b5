"""What is kept between requests, in the one place that suits the queue: memory or Redis."""

from __future__ import annotations

from dataclasses import dataclass

from redis import Redis

from backend.blobs import MemoryBlobs, RedisBlobs
from backend.engine import PictureStore
from backend.queue.keys import Keys
from backend.sessions import Sessions, Trails
from backend.settings import Settings


@dataclass(frozen=True)
class Kept:
    """Pictures on their way to the engine, states after each click, click orders and objects."""

    pictures: PictureStore
    sessions: Sessions
    trails: Trails

    @classmethod
    def in_memory(cls, settings: Settings) -> Kept:
        """For a process that does everything itself."""
        sessions = MemoryBlobs(settings.session_cache_bytes)
        pictures = MemoryBlobs(settings.picture_cache_bytes)
        return cls(PictureStore(pictures), Sessions(sessions), Trails(sessions))

    @classmethod
    def in_redis(cls, settings: Settings, client: Redis) -> Kept:
        """For web and worker processes, which both see it."""
        # What a job refers to must outlast its wait, however soon sessions are to be forgotten.
        seconds = max(settings.session_seconds, int(2 * settings.deadline_seconds) + 1)
        blobs = RedisBlobs(client, Keys(settings.queue_name).prefix, seconds)
        return cls(PictureStore(blobs), Sessions(blobs), Trails(blobs))
