"""Brush strokes as scribbles.

The editor sends no stroke by itself. It saves the annotator's draft some five seconds after a
stroke, and the draft travels with the next click: a region of a brush control with `touches` and,
until the annotation is saved, without `rle`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backend.errors import InvalidRequest
from backend.frontends.label_studio import geometry
from backend.frontends.label_studio.geometry import Size
from backend.frontends.label_studio.items import ObjectItems
from models.prompts import Box, Click, Scribble

MAX_TOUCHES = 200
MAX_DRAWN = 20
"""Strokes of a draft that count as scribbles; who painted more of them was painting the mask."""
MAX_DRAWN_POINTS = 5_000


def scribbles(value: Mapping[str, Any], size: Size, field: str) -> list[Scribble]:
    """The strokes in a brush region's raw value; what the eraser passed over is negative.

    Raises InvalidRequest for anything that is no such value.
    """
    touches = value.get("touches")
    if not isinstance(touches, list) or len(touches) > MAX_TOUCHES:
        raise InvalidRequest(
            f"{field} must have `rle`, or `touches` with at most {MAX_TOUCHES} strokes",
            field=field,
        )
    found = (_scribble(touch, size, f"{field}.touches[{n}]") for n, touch in enumerate(touches))
    return [scribble for scribble in found if scribble is not None]


def _scribble(touch: object, size: Size, field: str) -> Scribble | None:
    if not isinstance(touch, dict):
        raise InvalidRequest(f"{field} must be an object", field=field)
    flat = touch.get("relativePoints")
    if not isinstance(flat, list) or len(flat) > 2 * geometry.MAX_POINTS:
        raise InvalidRequest(
            f"{field}.relativePoints must be a list of x, y, x, y in percent, "
            f"at most {geometry.MAX_POINTS} points",
            field=f"{field}.relativePoints",
        )
    pairs = geometry.pairs_of(flat, f"{field}.relativePoints")
    if not pairs:
        return None
    points = tuple(geometry.position(x, y, size) for x, y in pairs)
    across = touch.get("relativeStrokeWidth")
    if across is None:
        return Scribble(points, touch.get("type") != "eraser")
    share = min(100.0, geometry.finite(across, f"{field}.relativeStrokeWidth"))
    radius = max(0.5, share / 200 * size[1])
    return Scribble(points, touch.get("type") != "eraser", radius)


def of_draft(
    task: Mapping[str, Any],
    pointed: ObjectItems,
    clicks: Sequence[Click],
    box: Box | None,
    size: Size,
) -> list[Scribble]:
    """The strokes of the annotator's newest draft that belong to the object being prompted.

    They carry its label, lie on its picture, and lie near what was clicked: a region painted by
    hand elsewhere is another object. A draft that cannot be read, or holds more than scribbles,
    has none: it is not what the annotator sent just now.
    """
    places = [(click.x, click.y, click.x, click.y) for click in clicks]
    if box is not None:
        places.append(box)
    found: list[Scribble] = []
    for region in _regions(_newest(task.get("drafts")), pointed):
        try:
            strokes = scribbles(region, size, "drafts")
        except InvalidRequest:
            continue
        if any(stroke.positive and _near(stroke, places) for stroke in strokes):
            found.extend(strokes)
    points = sum(len(stroke.points) for stroke in found)
    return found if len(found) <= MAX_DRAWN and points <= MAX_DRAWN_POINTS else []


def _newest(drafts: object) -> Mapping[str, Any]:
    kept = drafts if isinstance(drafts, list) else []
    kept = [draft for draft in kept if isinstance(draft, dict)]
    return max(kept, key=lambda draft: str(draft.get("updated_at") or ""), default={})


def _regions(draft: Mapping[str, Any], pointed: ObjectItems) -> Iterator[Mapping[str, Any]]:
    """The raw brush regions of a draft with the object's label, on its picture."""
    result = draft.get("result")
    labelled: dict[str, list[Any]] = {}
    for item in result if isinstance(result, list) else []:
        if isinstance(item, dict) and isinstance(item.get("value"), dict):
            labelled.setdefault(str(item.get("id")), []).append(item)
    for items in labelled.values():
        values = [item["value"] for item in items]
        if "touches" not in values[0] or any("rle" in value for value in values):
            continue
        item = items[0]
        if item.get("to_name") != pointed.image or (item.get("item_index") or 0) != (
            pointed.index or 0
        ):
            continue
        labels = [v.get(k) for v in values for k in ("brushlabels", "labels")]
        if any(isinstance(each, list) and pointed.label in each for each in labels):
            yield values[0]


def _near(stroke: Scribble, places: Sequence[Box]) -> bool:
    """Whether one of the places lies no farther from a stroke than the stroke is long."""
    xs, ys = zip(*stroke.points, strict=True)
    around = (min(xs), min(ys), max(xs), max(ys))
    reach = math.hypot(around[2] - around[0], around[3] - around[1]) + 2 * stroke.radius
    return any(_gap(around, place) <= reach for place in places)


def _gap(first: Box, second: Box) -> float:
    """Pixels between two boxes; 0 where they touch."""
    across = max(first[0] - second[2], second[0] - first[2], 0.0)
    down = max(first[1] - second[3], second[1] - first[3], 0.0)
    return math.hypot(across, down)
