"""What `doctor` asks Label Studio: is it there, does it take the token, can its projects work."""

from __future__ import annotations

import json
from typing import Any

from backend.errors import ImageUnreachable, MaskloopError
from backend.frontends.label_studio import config, refusals
from backend.frontends.label_studio.connections import Connection, instance
from backend.frontends.label_studio.download import Downloader, Refused
from backend.frontends.label_studio.policy import Policy, Url, split
from backend.frontends.label_studio.tokens import Instance, Tokens
from backend.settings import Settings

SECONDS = 10.0
MAX_BYTES = 32 << 20
PROJECTS = 100


def reachable(settings: Settings) -> str:
    """Version and address of the configured Label Studio. Raises MaskloopError."""
    home, downloader = _home(settings)
    address = f"{home.url}/api/version/"
    try:
        found = downloader.get(address, lambda _: {})
        return f"{home.url} answers, version {json.loads(found.data)['release']}"
    except Refused as error:
        raise ImageUnreachable(
            f"{address} answered {error.status}; LABEL_STUDIO_URL must be Label Studio's whole "
            "address, with the path that it is hosted under"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise ImageUnreachable(
            f"{address} did not answer as Label Studio does; check LABEL_STUDIO_URL"
        ) from None


def projects(settings: Settings) -> list[tuple[str, list[str]]]:
    """Title of each project that the token shows, and what keeps smart tools from working there.

    Raises MaskloopError where the token is missing or refused.
    """
    home, downloader = _home(settings)
    address = f"{home.url}/api/projects?page_size={PROJECTS}"
    tokens = Tokens()

    def headers(url: Url) -> dict[str, str]:
        value = tokens.header(home, downloader) if downloader.policy.is_label_studio(url) else None
        return {"Authorization": value} if value else {}

    try:
        found: Any = json.loads(downloader.get(address, headers).data)["results"]
        return [(str(each["title"]), config.problems(each["label_config"])) for each in found]
    except Refused as error:
        raise refusals.sentence(error, address, downloader.policy, home) from None
    except (ValueError, KeyError, TypeError) as error:
        raise ImageUnreachable(
            f"{home.url}/api/projects did not answer as Label Studio does ({error}); check "
            "LABEL_STUDIO_URL"
        ) from None


def _home(settings: Settings) -> tuple[Instance, Downloader]:
    home = instance(settings, Connection())
    if home is None:
        raise MaskloopError("LABEL_STUDIO_URL is not set")
    return home, Downloader(Policy(split(home.url)), MAX_BYTES, SECONDS)
