"""What a server's refusal of a picture means, and what to do about it."""

from __future__ import annotations

from backend.errors import ImageUnreachable
from backend.frontends.label_studio.download import Refused
from backend.frontends.label_studio.policy import Policy
from backend.frontends.label_studio.tokens import Instance, is_personal

LOCAL_FILES = "/data/local-files"


def sentence(
    error: Refused, address: str, policy: Policy, instance: Instance | None
) -> ImageUnreachable:
    """The error for the annotator's administrator: who refused what, and the remedy."""
    if policy.is_label_studio(error.url) and instance is not None:
        remedy = _at_home(error, address, instance)
        who = "Label Studio"
    else:
        remedy = _elsewhere(error.status)
        who = error.url.authority
    return ImageUnreachable(
        f"{who} answered {error.status} for {error.url.shown}: {remedy}", field="data"
    )


def _at_home(error: Refused, address: str, instance: Instance) -> str:
    if error.status == 401:
        return _token(instance)
    if error.status == 403:
        return _forbidden(address)
    if error.status == 404:
        return _missing(address)
    return "see Label Studio's own log; a file missing on its disk is answered like this too"


def _forbidden(address: str) -> str:
    if address.startswith(LOCAL_FILES):
        return (
            "start Label Studio with LOCAL_FILES_SERVING_ENABLED=true and add a Local Files source "
            "storage to this project whose path covers the file"
        )
    return "the token's user has no access to this project; use the token of one who has"


def _missing(address: str) -> str:
    if "://" in address:
        return (
            f"no cloud storage of this project covers {address.partition('?')[0]!r:.200}; add or "
            "sync the storage in the project's settings"
        )
    if address.startswith(LOCAL_FILES):
        return (
            "the file is not there, or Label Studio runs without LOCAL_FILES_SERVING_ENABLED=true"
        )
    return (
        "there is no such file; if Label Studio is hosted under a path, LABEL_STUDIO_URL must end "
        "with it"
    )


def _token(instance: Instance) -> str:
    if not instance.key:
        return "it wants a token: put one into LABEL_STUDIO_API_KEY"
    if is_personal(instance.key):
        return "it refused the personal access token: create a new one for LABEL_STUDIO_API_KEY"
    return (
        "it refused the legacy token, which Label Studio switches off by default: put a personal "
        "access token into LABEL_STUDIO_API_KEY, or allow legacy tokens under Organization, API "
        "Tokens Settings"
    )


def _elsewhere(status: int) -> str:
    if status in {401, 403}:
        return (
            "it wants credentials, which are never sent to another host than Label Studio, or its "
            "presigned address has expired; add the bucket as a storage of the project, with "
            "presigned addresses that live longer"
        )
    if status == 404:
        return "there is no such file; check the address in the task's data"
    return "try the address in a browser"
