"""What CVAT's server puts into a call, and how its page reads the answer."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
from cvat_sdk.masks import decode_mask

from tests.backend.frontends.cvat.pictures import HEIGHT, SQUARE, WIDTH

OLD = "CVAT/2.54.1.alpha0 python-requests/2.32.3"
BETWEEN = "CVAT/2.60.0 python-requests/2.32.3"
NEW = "CVAT/2.70.0 python-requests/2.32.3"


def payload(image: bytes, **fields: Any) -> dict[str, Any]:
    text = base64.b64encode(image).decode("utf-8")
    return {"image": text, "pos_points": [], "neg_points": [], "obj_bbox": []} | fields


def strict(text: str | bytes) -> Any:
    """JSON as a browser reads it: without NaN and Infinity."""

    def refuse(name: str) -> float:
        raise ValueError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def pixels(found: dict[str, Any]) -> np.ndarray:
    """The mask in an answer of any form but the outline: bool, of the test picture's size."""
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    if "shapes" in found:
        for shape in found["shapes"]:
            mask |= decode_mask(shape["points"], image_width=WIDTH, image_height=HEIGHT)
        return mask
    left, top, right, bottom = found.get("bounds", [0, 0, WIDTH - 1, HEIGHT - 1])
    rows = np.array(found["mask"])
    assert set(np.unique(rows)) <= {0, 1}
    mask[top : bottom + 1, left : right + 1] = rows
    return mask


def overlap(mask: np.ndarray, truth: np.ndarray = SQUARE) -> float:
    """Intersection over union."""
    return float((mask & truth).sum() / (mask | truth).sum())
