"""Which of the offered models a request means, and what is told of each."""

from __future__ import annotations

from collections.abc import Sequence

from backend.engine import ModelStatus
from backend.errors import InvalidSettings, UnknownModelName
from backend.service.messages import ModelOffer
from models import zoo


def offer(status: ModelStatus) -> ModelOffer:
    """What frontends are told of a model."""
    architecture, _ = zoo.parse(status.name)
    return ModelOffer(
        status.name, status.version, status.loaded, architecture.prompts, status.problem
    )


def check_names(offered: Sequence[str]) -> None:
    """Raise InvalidSettings for an offered model that the zoo does not have as a segmenter."""
    for name in offered:
        try:
            zoo.segmenting(name)
        except zoo.UnknownModel as error:
            raise InvalidSettings(f"MASKLOOP_MODEL or MASKLOOP_MODELS: {error}") from None


def meant(wanted: str | None, models: Sequence[ModelStatus]) -> ModelStatus:
    """The offered model that a request names, the first one for None.

    `architecture` alone means the first offered one of that architecture; `architecture@weights`,
    and a whole version id, must be what is offered or what that resolves to. Raises
    UnknownModelName with the names that are served.
    """
    if wanted is None:
        return models[0]
    for status in models:
        if wanted == status.name or (status.version or "").startswith(f"{wanted}:"):
            return status
    for status in models:
        if wanted in {status.version, status.name.partition("@")[0]}:
            return status
    names = ", ".join(status.name for status in models)
    raise UnknownModelName(
        f"the model {wanted!r} is not served here; name one of {names}, or have it added to "
        "MASKLOOP_MODELS",
        field="model",
    )
