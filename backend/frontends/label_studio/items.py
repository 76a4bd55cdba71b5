"""The context of an interactive call, sorted by object.

The editor sends all pending prompts of one type, one label and one object tag with every click;
clients of the API may mix them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from backend.errors import InvalidRequest
from backend.frontends.label_studio import geometry
from backend.frontends.label_studio.config import LabelConfig, Shape
from backend.frontends.label_studio.geometry import Size
from models.prompts import Box

BOXES: tuple[Shape, ...] = ("rectangle", "ellipse")
SAME_BOX = 0.5
"""A later box that overlaps an earlier one by this much corrects it and is no second object."""

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """One prompt as the editor sent it.

    `smart` tells a smart tool's click from an ordinary keypoint of the annotation, which the
    editor sends along. `field` says where the item stood, for error messages.
    """

    id: str | None
    shape: Shape
    value: Json
    positive: bool
    smart: bool
    field: str


@dataclass(frozen=True, slots=True)
class ObjectItems:
    """What was pointed at: the items about one object of one picture, in the order of drawing.

    `image` is the name of the object tag, `index` the picture's place where the tag shows several
    (None where the items do not say), `labels` the classes chosen in the editor.
    """

    image: str
    index: int | None
    labels: tuple[str, ...]
    items: tuple[Item, ...]

    @property
    def key(self) -> str | None:
        """The id of the first prompt: the same for every further click on the object, and for
        no other object. None where the caller gave none.
        """
        return next((item.id for item in self.items if item.smart), self.items[0].id)

    @property
    def label(self) -> str | None:
        """The label that decides where the mask goes."""
        return self.labels[0] if self.labels else None


def read(context: object, config: LabelConfig, limit: int) -> list[ObjectItems]:
    """The objects that an interactive call points at; none where nothing is left of it.

    `limit` is the largest number of items. Raises InvalidRequest naming the faulty field.
    """
    if not isinstance(context, dict):
        raise InvalidRequest("context must be an object with a list `result`", field="context")
    result = context.get("result")
    if not isinstance(result, list):
        raise InvalidRequest("context.result must be a list of prompts", field="context.result")
    if len(result) > 2 * limit:
        raise InvalidRequest(
            f"context.result has {len(result)} items; {limit} prompts are the limit "
            "(MASKLOOP_MAX_CLICKS)",
            field="context.result",
        )
    groups: dict[tuple[str, int | None, tuple[str, ...]], list[Item]] = {}
    for raw in _by_id(result):
        place = (_image(raw, config), _index(raw), _labels(raw))
        groups.setdefault(place, []).append(raw.item)
    objects = [ObjectItems(*place, tuple(items)) for place, items in groups.items()]
    return [part for each in objects for part in _one_box_each(each)]


@dataclass(frozen=True, slots=True)
class _Raw:
    """An item with all that was sent under its id: with separate `<Labels>` that is a pair."""

    item: Item
    sent: tuple[Json, ...]


def _by_id(result: list[Any]) -> list[_Raw]:
    sent: dict[str, list[tuple[str, Json]]] = {}
    for number, each in enumerate(result):
        field = f"context.result[{number}]"
        if not isinstance(each, dict):
            raise InvalidRequest(f"{field} must be an object, not {each!r:.80}", field=field)
        sent.setdefault(str(each.get("id") or field), []).append((field, each))
    found = []
    for items in sent.values():
        # The partner of a `<Labels>` item says what shape it is; alone, its value has to.
        field, chosen = next((pair for pair in items if pair[1].get("type") != "labels"), items[0])
        item = _item(chosen, field)
        if item is not None:
            found.append(_Raw(item, tuple(each for _, each in items)))
    return found


def _item(sent: Json, field: str) -> Item | None:
    """The prompt in an item; None for a relation, which is not about a place."""
    if sent.get("type") == "relation":
        return None
    value = sent.get("value")
    if not isinstance(value, dict):
        raise InvalidRequest(f"{field}.value must be an object", field=f"{field}.value")
    # Only smart tools say whether a click is on the object; those of plain tools are.
    positive = sent.get("is_positive", True)
    if positive not in (True, False):
        raise InvalidRequest(
            f"{field}.is_positive is {positive!r:.80}: it must be true or false",
            field=f"{field}.is_positive",
        )
    id_ = str(sent["id"]) if sent.get("id") else None
    shape = _shape(sent, value, field)
    return Item(id_, shape, value, bool(positive), "is_positive" in sent, f"{field}.value")


def _shape(sent: Json, value: Json, field: str) -> Shape:
    type_ = sent.get("type")
    if type_ == "labels":
        keys: dict[str, Shape] = {
            "imageDataURL": "bitmask",
            "rle": "brush",
            "touches": "brush",
            "points": "polygon",
            "radiusX": "ellipse",
            "height": "rectangle",
            "x": "keypoint",
        }
        found = next((shape for key, shape in keys.items() if key in value), None)
        if found is not None:
            return found
    for shape in get_args(Shape):
        if type_ in (shape, f"{shape}labels") and shape != "labels":
            return shape  # type: ignore[no-any-return]
    raise InvalidRequest(
        f"{field}.type is {type_!r:.80}, which is no prompt: use keypointlabels, rectanglelabels, "
        "ellipselabels, polygonlabels, brushlabels or bitmasklabels",
        field=f"{field}.type",
    )


def _image(raw: _Raw, config: LabelConfig) -> str:
    name = next((each["to_name"] for each in raw.sent if each.get("to_name")), None)
    if name is None and len(config.images) == 1:
        return config.images[0].name
    if not isinstance(name, str):
        raise InvalidRequest("to_name must name an <Image> of the configuration", field="to_name")
    return config.image(name).name


def _index(raw: _Raw) -> int | None:
    index = raw.sent[0].get("item_index")
    if index is None:
        return None
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        raise InvalidRequest(
            f"item_index is {index!r:.80}: it must be a whole number from 0", field="item_index"
        )
    return index


def _labels(raw: _Raw) -> tuple[str, ...]:
    for each in raw.sent:
        value = each.get("value")
        if not isinstance(value, dict):
            continue
        labels = value.get("labels") or value.get(str(each.get("type"))) or []
        if labels:
            if not isinstance(labels, list) or not all(isinstance(one, str) for one in labels):
                raise InvalidRequest(f"labels {labels!r:.80}: not a list of text", field="labels")
            return tuple(labels)
    return ()


def _one_box_each(pointed: ObjectItems) -> list[ObjectItems]:
    """Each box is an object of its own, unless it corrects an earlier one."""
    boxes = [item for item in pointed.items if item.shape in BOXES]
    others = [item for item in pointed.items if item.shape not in BOXES]
    kept = _without_corrected(boxes)
    if len(kept) < 2:
        return [replace(pointed, items=tuple(kept + others))] if kept or others else []
    if others:
        raise InvalidRequest(
            f"context.result has {len(kept)} boxes together with other prompts; "
            "send one box for one object",
            field="context.result",
        )
    return [replace(pointed, items=(box,)) for box in kept]


def _without_corrected(boxes: list[Item]) -> list[Item]:
    """The boxes less those that a later one nearly repeats; a correction keeps the first's id."""
    kept: list[tuple[Item, Box | None]] = []
    for item in boxes:
        box = box_of(item, (100, 100))
        for place, (earlier, other) in enumerate(kept):
            if box and other and geometry.overlap(box, other) >= SAME_BOX:
                kept[place] = (replace(item, id=earlier.id), box)
                break
        else:
            kept.append((item, box))
    return [item for item, _ in kept]


def box_of(item: Item, size: Size) -> Box | None:
    """The upright box around a rectangle or ellipse; None where nothing of it is on the picture."""
    shape = geometry.rectangle if item.shape == "rectangle" else geometry.ellipse
    return shape(item.value, size, item.field)
