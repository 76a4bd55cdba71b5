from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from label_studio_sdk.converter.brush import decode_rle
from PIL import Image

from backend.codecs import polygons
from backend.frontends.label_studio.config import parse
from backend.frontends.label_studio.results import Placement, Region, region_id, regions
from backend.masks import Mask

SIZE = (100, 200)
CONFIG = """<View><Image name="image" value="$image"/>
<Labels name="label" toName="image"><Label value="Cat"/></Labels>
<{tag} name="out" toName="image">{labels}</{tag}></View>"""


def mask(*boxes: tuple[int, int, int, int]) -> Mask:
    array = np.zeros(SIZE, np.bool_)
    for left, top, right, bottom in boxes:
        array[top:bottom, left:right] ^= True
    return Mask.of(array)


OBJECT = mask((20, 10, 120, 60), (40, 20, 60, 40))
"""A block with a hole."""


def shown(tag: str, what: Mask = OBJECT, score: float | None = 0.9, **fields: Any) -> list[Region]:
    labels = '<Label value="Cat"/>' if tag.endswith("Labels") else ""
    output = parse(CONFIG.format(tag=tag, labels=labels)).output("image", "Cat")
    place = {"output": output, "image": "image", "labels": ("Cat",), "seed": "a"} | fields
    return regions(what, score, Placement(**place))


def test_a_brush_region_is_what_label_studio_decodes() -> None:
    (region,) = shown("BrushLabels")
    alpha = decode_rle(region["value"]["rle"]).reshape(*SIZE, 4)[..., 3]
    assert np.array_equal(alpha, OBJECT.full * np.uint8(255))
    assert region["value"]["format"] == "rle"
    assert region["value"]["brushlabels"] == ["Cat"]
    assert {key: region[key] for key in region if key not in {"value", "id"}} == {
        "type": "brushlabels",
        "from_name": "out",
        "to_name": "image",
        "origin": "prediction",
        "original_width": 200,
        "original_height": 100,
        "image_rotation": 0,
        "readonly": False,
        "score": 0.9,
    }


def test_a_bitmask_region_is_a_png_opaque_in_the_mask() -> None:
    (region,) = shown("BitmaskLabels")
    head, _, body = region["value"]["imageDataURL"].partition(",")
    assert head == "data:image/png;base64"
    opaque = np.array(Image.open(io.BytesIO(base64.b64decode(body))).convert("RGBA"))[..., 3]
    assert np.array_equal(opaque > 0, OBJECT.full)
    assert (region["type"], region["value"]["bitmasklabels"]) == ("bitmasklabels", ["Cat"])


def test_a_polygon_region_is_one_ring_in_percent_with_its_hole_cut_out() -> None:
    (region,) = shown("PolygonLabels")
    value = region["value"]
    assert value["closed"] is True
    assert value["polygonlabels"] == ["Cat"]
    ring = np.array(value["points"]) * [2, 1]
    found = polygons.fill([ring], SIZE)
    assert np.count_nonzero(found.full ^ OBJECT.full) <= 8


def test_each_part_is_a_polygon_and_specks_are_none() -> None:
    parts = mask((0, 0, 60, 60), (100, 0, 140, 60), (180, 80, 182, 82))
    first, second = shown("PolygonLabels", parts)
    assert first["id"] == region_id("a")
    assert second["id"] not in {first["id"], region_id("b")}
    again = shown("PolygonLabels", parts)
    assert [region["id"] for region in again] == [first["id"], second["id"]]


def test_a_mask_of_many_small_parts_still_has_its_largest() -> None:
    dots = [(x, y, x + 1, y + 1) for x in range(0, 200, 4) for y in range(0, 80, 4)]
    found = shown("PolygonLabels", mask(*dots, (0, 90, 2, 92)))
    assert len(found) == 1


@pytest.mark.parametrize("tag", ["Brush", "Bitmask", "Polygon"])
def test_with_separate_labels_a_region_comes_as_a_pair_of_one_id(tag: str) -> None:
    drawn, classed = shown(tag)
    assert (drawn["type"], drawn["from_name"]) == (tag.lower(), "out")
    assert (classed["type"], classed["from_name"]) == ("labels", "label")
    assert drawn["id"] == classed["id"]
    assert "labels" not in drawn["value"]
    assert classed["value"] == {**drawn["value"], "labels": ["Cat"]}


def test_ids_are_ten_characters_and_belong_to_the_object() -> None:
    (first,), (again,), (other,) = (
        shown("BrushLabels"),
        shown("BrushLabels", mask((0, 0, 5, 5))),
        shown("BrushLabels", seed="b"),
    )
    assert first["id"] == again["id"] != other["id"]
    assert len(first["id"]) == 10
    assert first["id"] != "a"


def test_labels_that_the_control_does_not_have_are_left_out() -> None:
    (region,) = shown("BrushLabels", labels=("Cat", "Bird"))
    assert region["value"]["brushlabels"] == ["Cat"]


def test_a_picture_of_several_and_a_missing_score_are_told() -> None:
    (region,) = shown("BrushLabels", score=None, index=2)
    assert region["item_index"] == 2
    assert "score" not in region


@pytest.mark.parametrize("tag", ["BrushLabels", "BitmaskLabels", "PolygonLabels", "Brush"])
def test_an_empty_mask_is_no_region(tag: str) -> None:
    assert shown(tag, Mask.empty(SIZE)) == []
