"""How the backend speaks to Redis: one way to connect, one error when it does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from backend.errors import InvalidSettings, QueueUnavailable

SOCKET_SECONDS = 5.0
"""How long one command may take. Blocking commands wait in slices well below it."""


def connect(url: str) -> Redis:
    """A client that speaks bytes, with its own pool of connections; connects on first use.

    A command on a connection that has gone stale is tried once more on a fresh one, and no
    longer: whoever waits for a mask had rather hear that Redis is down. Raises InvalidSettings
    for an address that is none.
    """
    try:
        return Redis.from_url(
            url,
            socket_timeout=SOCKET_SECONDS,
            socket_connect_timeout=2.0,
            retry=Retry(NoBackoff(), 1),
        )
    except ValueError as error:
        raise InvalidSettings(
            f"REDIS_URL is not an address of Redis ({error}); write redis://HOST:PORT/0"
        ) from None


@contextmanager
def answering(place: str) -> Iterator[None]:
    """Turn every failure of Redis inside the block into a QueueUnavailable that names `place`."""
    try:
        yield
    except RedisError as error:
        raise QueueUnavailable(
            f"Redis at {place} does not do its work ({error}); start it, or correct REDIS_URL"
        ) from error


def place_of(client: Redis) -> str:
    """Where a client connects to, without any password."""
    settings = client.connection_pool.connection_kwargs
    if "path" in settings:
        return str(settings["path"])
    return f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}"


def shown(url: str) -> str:
    """An address without its user and password."""
    parts = urlsplit(url)
    return f"{parts.hostname or ''}:{parts.port or 6379}" if parts.hostname else parts.path
