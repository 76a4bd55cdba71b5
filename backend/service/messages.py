"""What goes into the service and what comes out: the words that all frontends share."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from backend.masks import Mask
from models.prompts import Prompt


def new_request_id() -> str:
    """A fresh id: 32 hex digits."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Origin:
    """Whose work a request is part of: as much as the tool tells.

    Requests of one origin with a known user and task may replace each other; others never do.
    """

    tool: str
    project: str | None = None
    task: str | None = None
    user: str | None = None
    object_id: str | None = None


@dataclass(frozen=True)
class SegmentRequest:
    """One prompt on one picture.

    `image` is the encoded picture as received. `ordered` is False where the tool sends positive
    and negative clicks apart: `prompt.clicks` then holds the positives in their order, then the
    negatives in theirs, and the service restores the true order from earlier requests.
    `model` names an architecture, with or without `@weights`; None is the default model.
    `priority` is 0 for a person who waits and higher for work that can wait (batch predictions):
    the lower number goes first. `deadline_seconds` is the caller's own limit in place of the
    settings'.
    """

    image: bytes
    prompt: Prompt
    origin: Origin
    model: str | None = None
    ordered: bool = True
    deadline_seconds: float | None = None
    request_id: str = field(default_factory=new_request_id)
    priority: int = 0


@dataclass(frozen=True)
class Answer:
    """The mask of one prompt, and what is worth knowing about how it came about.

    `version` is the model version id, `score` the network's own estimate of the mask's IoU (None
    where it gives none), `remembered` how many steps of the prompt had been answered before and
    `milliseconds` the time from the request's arrival to its answer. With `aborted` a refinement
    ran out of the time that the settings give it, and this is the best it had.
    """

    request_id: str
    object_id: str
    image_id: str
    picture_id: str
    version: str
    mask: Mask
    score: float | None
    remembered: int
    milliseconds: float
    aborted: bool = False


@dataclass(frozen=True)
class ModelOffer:
    """A model served here: its name as settings give it, and its version id once known.

    `loaded` says whether the network is in memory; `prompts` which of "clicks", "box",
    "scribbles", "mask" it takes; `problem` why it cannot answer, as a sentence, if it cannot.
    """

    name: str
    version: str | None
    loaded: bool
    prompts: tuple[str, ...]
    problem: str | None = None


@dataclass(frozen=True)
class Readiness:
    """Whether clicks can be answered, and what stands in the way: sentences for a person."""

    ready: bool
    problems: tuple[str, ...] = ()
