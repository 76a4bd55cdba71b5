"""An object that is clicked on, and what has to come of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.cleaning import clean
from backend.masks import Mask
from models.prompts import Click, Prompt
from models.segmenter import Query, replay
from tests.backend.growing import Growing

CLICKS = (
    Click(12.0, 21.25),
    Click(58.5, 16.0),
    Click(56.0, 0.75, False),
    Click(50.0, 34.0),
    Click(55.0, 39.0, False),
)
"""Each of them changes the mask, and so does another order."""


def expected(image: np.ndarray, prompt: Prompt) -> np.ndarray:
    """What a segmenter of its own, asked by nobody else, says, without specks: bool HxW."""
    segmenter = Growing()
    mask = replay(segmenter, segmenter.prepare(image), prompt)[-1].mask
    return clean(Mask.of(mask), prompt).full


def apart(clicks: Sequence[Click]) -> tuple[Click, ...]:
    """As tools send them that keep two lists: positives, then negatives."""
    return tuple(sorted(clicks, key=lambda click: not click.positive))


def fail_at_13(queries: Sequence[Query]) -> None:
    if any(query.prompt.clicks[0].x == 13 for query in queries):
        raise ValueError("a defect")
