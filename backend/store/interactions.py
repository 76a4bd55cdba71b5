"""One request and its answer, as the log keeps them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime

from backend.masks import Mask
from backend.prompt_record import PromptRecord
from backend.store.overflow import Row

LARGEST_MASK = 1 << 20
"""Of a mask with more compressed bytes only area and digest are kept."""


@dataclass(frozen=True)
class Interaction:
    """One request and what became of it.

    `version` is the model version id, or the model's name where none was loaded. `order_known` is
    False where the true order of positive and negative clicks could not be recovered. `remembered`
    counts the steps of the prompt that had been answered before. `error` is the code of a failed
    request, which has no mask.
    """

    request_id: str
    tool: str
    image_id: str
    prompt: PromptRecord
    milliseconds: float
    object_id: str | None = None
    project: str | None = None
    task: str | None = None
    user: str | None = None
    picture_id: str | None = None
    width: int | None = None
    height: int | None = None
    order_known: bool = True
    version: str | None = None
    remembered: int = 0
    score: float | None = None
    mask: Mask | None = None
    error: str | None = None
    time: datetime = field(default_factory=lambda: datetime.now(UTC))

    def row(self) -> Row:
        """The interaction as a row of the table `interactions`."""
        row: Row = {column.name: getattr(self, column.name) for column in fields(self)}
        mask = None if self.mask is None else self.mask.to_bytes()
        return row | {
            "prompt": self.prompt.to_json(),
            "mask": mask if mask is not None and len(mask) <= LARGEST_MASK else None,
            "mask_area": None if self.mask is None else self.mask.area,
            "mask_digest": None if mask is None else hashlib.sha256(mask).hexdigest(),
        }
