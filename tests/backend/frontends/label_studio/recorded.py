"""What Label Studio's editor sends, in the form recorded from version 1.23."""

from __future__ import annotations

from typing import Any

Item = dict[str, Any]


def click(
    id_: str,
    x: float,
    y: float,
    *,
    positive: bool = True,
    label: str = "Cat",
    to_name: str = "image",
) -> Item:
    """A click with the smart keypoint tool of `<KeyPointLabels>`."""
    return {
        "id": id_,
        "from_name": "kp",
        "to_name": to_name,
        "type": "keypointlabels",
        "origin": "manual",
        "original_width": 200,
        "original_height": 100,
        "image_rotation": 0,
        "is_positive": positive,
        "value": {"x": x, "y": y, "width": 0.3, "labels": [label], "keypointlabels": [label]},
    }


def separate_click(id_: str, x: float, y: float, *, positive: bool = True) -> list[Item]:
    """A click with `<KeyPoint>` and a separate `<Labels>`: two items of one id."""
    common: Item = {
        "id": id_,
        "to_name": "image",
        "origin": "manual",
        "original_width": 200,
        "original_height": 100,
        "image_rotation": 0,
        "is_positive": positive,
    }
    place = {"x": x, "y": y, "width": 0.3}
    return [
        {**common, "from_name": "point", "type": "keypoint", "value": place},
        {**common, "from_name": "label", "type": "labels", "value": {**place, "labels": ["Cat"]}},
    ]


def rectangle(
    id_: str,
    x: float,
    y: float,
    width: float,
    height: float,
    *,
    rotation: float = 0,
    label: str = "Cat",
) -> Item:
    """A box with the smart rectangle tool of `<RectangleLabels>`."""
    return {
        "id": id_,
        "from_name": "rect",
        "to_name": "image",
        "type": "rectanglelabels",
        "origin": "manual",
        "original_width": 200,
        "original_height": 100,
        "image_rotation": 0,
        "value": {
            "x": x,
            "y": y,
            "width": width,
            "height": height,
            "rotation": rotation,
            "rectanglelabels": [label],
        },
    }


def stroke(points: list[float], *, width: float = 2.0, kind: str = "add") -> Item:
    """A touch of the brush as a draft holds it before the annotation is saved."""
    return {
        "id": "t1",
        "type": kind,
        "points": [part * 6 for part in points],
        "relativePoints": points,
        "strokeWidth": 12,
        "relativeStrokeWidth": width,
        "eraserSize": 10,
    }


def draft(*touches: Item, label: str = "Cat", updated: str = "2026-01-02T00:00:00Z") -> Item:
    """A draft with one unsaved brush region."""
    return {
        "id": 4,
        "annotation": None,
        "updated_at": updated,
        "result": [
            {
                "id": "drawn",
                "type": "brushlabels",
                "from_name": "tag",
                "to_name": "image",
                "original_width": 200,
                "original_height": 100,
                "value": {"format": "rle", "touches": list(touches), "brushlabels": [label]},
            }
        ],
    }


def interactive(task: Item, config: str, *items: Item, project: str = "1.1795175605") -> Item:
    """The body of an interactive call of /predict."""
    return {
        "tasks": [task],
        "project": project,
        "label_config": config,
        "params": {"login": None, "password": None, "context": {"result": list(items)}},
    }


def setup(config: str, *, project: str = "1.1795175605", **fields: Any) -> Item:
    """The body of /setup."""
    return {
        "project": project,
        "schema": config,
        "hostname": "http://localhost:8080",
        "access_token": "0" * 40,
        "extra_params": None,
        **fields,
    }
