"""Label Studio's two kinds of token, as the header that its own host gets to see.

A legacy token (40 hexadecimal digits, disabled by default in current versions) goes out as it
is. A personal access token is a JSON web token of type `refresh`: it is exchanged for an access
token that lives five minutes, renewed before that, and once more where the server refuses it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import jwt

from backend.errors import ImageUnreachable
from backend.frontends.label_studio.download import REDIRECTS, Downloader, Refused

LIFETIME = 300.0
MARGIN = 30.0
"""Seconds before its end at which an access token is renewed."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A Label Studio to fetch from: its address without a final slash, and the token for it."""

    url: str
    key: str | None


class Tokens:
    """The access tokens of the Label Studio instances in use. Safe to use from many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._access: dict[Instance, tuple[str, float]] = {}

    def header(self, instance: Instance, downloader: Downloader) -> str | None:
        """The value of `Authorization` for this instance; None where there is no token for it.

        Raises ImageUnreachable where a personal access token cannot be exchanged.
        """
        if not instance.key:
            return None
        kind = _kind(instance.key)
        if kind is None:
            return f"Token {instance.key}"
        if kind != "refresh":
            return f"Bearer {instance.key}"
        with self._lock:
            access, end = self._access.get(instance, ("", 0.0))
            if not access or self._clock() >= end - MARGIN:
                access, end = self._exchange(instance.url, instance.key, downloader)
                self._access[instance] = (access, end)
        return f"Bearer {access}"

    def renewable(self, instance: Instance, refused: str | None) -> bool:
        """Whether another try may succeed after the server refused this header's value.

        An access token that was refused is forgotten, unless somebody has renewed it already.
        """
        if not instance.key or _kind(instance.key) != "refresh":
            return False
        with self._lock:
            if f"Bearer {self._access.get(instance, ('', 0.0))[0]}" == refused:
                self._access.pop(instance, None)
        return True

    def _exchange(self, url: str, key: str, downloader: Downloader) -> tuple[str, float]:
        asked = self._clock()
        try:
            answer = downloader.request(
                "POST",
                f"{url}/api/token/refresh",
                lambda _: {"Content-Type": "application/json"},
                json.dumps({"refresh": key}).encode(),
            )
            access = json.loads(answer.data)["access"]
            if not isinstance(access, str):
                raise TypeError(f"access is {type(access).__name__}")
        except Refused as error:
            if error.status in REDIRECTS:
                raise ImageUnreachable(
                    f"LABEL_STUDIO_URL ({url}) redirects elsewhere; set it to the address that "
                    "Label Studio has in the browser's address line, https included",
                    field="data",
                ) from error
            raise ImageUnreachable(
                f"Label Studio did not accept the personal access token ({error}): it may have "
                "been revoked or expired; create one under Account & Settings, Personal Access "
                "Token, and put it into LABEL_STUDIO_API_KEY",
                field="data",
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise ImageUnreachable(
                f"{url}/api/token/refresh did not answer as Label Studio does ({error}); check "
                "LABEL_STUDIO_URL",
                field="data",
            ) from error
        return access, asked + _lifetime(access)


def is_personal(key: str) -> bool:
    """Whether a token is a personal access token."""
    return _kind(key) is not None


def _kind(key: str) -> str | None:
    """The `token_type` of a JSON web token; None for a legacy token."""
    if key.count(".") != 2:
        return None
    try:
        claims = jwt.decode(key, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return None
    return str(claims.get("token_type", "access"))


def _lifetime(access: str) -> float:
    """Seconds that an access token lives by its own words, whatever the two clocks say."""
    try:
        claims = jwt.decode(access, options={"verify_signature": False, "verify_exp": False})
        return max(0.0, float(claims["exp"]) - float(claims["iat"]))
    except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
        return LIFETIME
