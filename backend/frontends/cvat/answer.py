"""What CVAT is answered: the same mask in the form that the calling version understands.

| version | answer |
|---|---|
| before 2.3 | the outline alone, `[[x, y], ...]` |
| 2.3 to 2.54 | `{"mask": rows of the object's box, "bounds": [left, top, right, bottom]}` |
| 2.55 to 2.69, and callers that do not say | `{"mask": rows of the whole picture}` |
| 2.70 and later | `{"shapes": [{"type": "mask", "points": runs and box, "attributes": [...]}]}` |

All bounds are inclusive. CVAT tells its version in `User-Agent: CVAT/<version>` since 2.4.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from enum import Enum, auto

import numpy as np

from backend.codecs import cvat as codec
from backend.masks import Mask
from backend.service.messages import Answer

_VERSION = re.compile(r"(?:^|\s)CVAT/(\d+)\.(\d+)", re.IGNORECASE)
_FIRST_WITH_MASKS = (2, 3)
_FIRST_THAT_MAY_IGNORE_BOUNDS = (2, 55)
_FIRST_WITH_SHAPES = (2, 70)
CONFIDENCE = 0
"""The attribute (`spec_id`) that CVAT reads as the shape's confidence."""


class Form(Enum):
    """The forms an answer may have."""

    OUTLINE = auto()
    CROPPED = auto()
    WHOLE = auto()
    SHAPES = auto()


def form(user_agent: str | None, otherwise: str | None = None) -> Form:
    """The form for the caller's `User-Agent`.

    `otherwise` is the version, such as "2.2", of a caller that names none. Anything after the
    second number of a version (`2.54.1.alpha0`) is of no account.
    """
    match = _VERSION.search(user_agent or "") or _VERSION.search(f"CVAT/{otherwise or ''}")
    if match is None:
        return Form.WHOLE
    version = int(match[1]), int(match[2])
    if version < _FIRST_WITH_MASKS:
        return Form.OUTLINE
    if version < _FIRST_THAT_MAY_IGNORE_BOUNDS:
        return Form.CROPPED
    return Form.SHAPES if version >= _FIRST_WITH_SHAPES else Form.WHOLE


def render(form: Form, answers: Sequence[Answer]) -> str:
    """The JSON text of the answers to one call, one answer an object; at least one.

    Where the form knows one mask only, it is the union of all.
    """
    if form is Form.SHAPES:
        shapes = [_shape(answer) for answer in answers if answer.mask]
        return json.dumps({"shapes": shapes}, separators=(",", ":"))
    mask = union([answer.mask for answer in answers])
    if form is Form.OUTLINE:
        return json.dumps(codec.contour(mask), separators=(",", ":"))
    if not mask:
        # Without "points" CVAT's page looks for a contour that is not there, and throws.
        return f'{{"mask":{codec.full_mask_json(mask)},"points":[]}}'
    if form is Form.WHOLE:
        return f'{{"mask":{codec.full_mask_json(mask)}}}'
    bounds = json.dumps(codec.bounds(mask), separators=(",", ":"))
    return f'{{"mask":{codec.cropped_json(mask)},"bounds":{bounds}}}'


def _shape(answer: Answer) -> dict[str, object]:
    attributes = []
    if answer.score is not None and math.isfinite(answer.score):
        confidence = f"{min(max(answer.score, 0.0), 1.0):.2f}"
        attributes.append({"spec_id": CONFIDENCE, "value": confidence})
    return {"type": "mask", "points": codec.runs(answer.mask), "attributes": attributes}


def union(masks: Sequence[Mask]) -> Mask:
    """The mask of every pixel set in one of the masks, which are of one picture."""
    drawn = [mask for mask in masks if mask]
    if len(drawn) < 2:
        return drawn[0] if drawn else masks[0]
    left, top, _, _ = (min(edges) for edges in zip(*(m.box for m in drawn), strict=True))
    _, _, right, bottom = (max(edges) for edges in zip(*(m.box for m in drawn), strict=True))
    whole = np.zeros((bottom - top, right - left), np.bool_)
    for mask in drawn:
        x1, y1, x2, y2 = mask.box
        whole[y1 - top : y2 - top, x1 - left : x2 - left] |= mask.crop
    return Mask(masks[0].size, (left, top, right, bottom), whole)
