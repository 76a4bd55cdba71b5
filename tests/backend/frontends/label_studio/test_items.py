from __future__ import annotations

from typing import Any

import pytest

from backend.errors import InvalidRequest
from backend.frontends.label_studio.config import parse
from backend.frontends.label_studio.items import ObjectItems, read
from tests.backend.frontends.label_studio.recorded import click, rectangle, separate_click

CONFIG = parse(
    """<View><Image name="image" value="$image"/><Image name="second" value="$other"/>
    <BrushLabels name="tag" toName="image"><Label value="Cat"/></BrushLabels></View>"""
)
ONE_IMAGE = parse('<View><Image name="img" value="$image"/></View>')


def reading(*items: object, limit: int = 50) -> list[ObjectItems]:
    return read({"result": list(items)}, CONFIG, limit)


def test_clicks_of_one_label_are_one_object_in_their_order() -> None:
    (pointed,) = reading(click("a", 10, 20), click("b", 30, 40, positive=False))
    assert (pointed.image, pointed.index, pointed.labels) == ("image", None, ("Cat",))
    assert [(item.id, item.positive) for item in pointed.items] == [("a", True), ("b", False)]


def test_the_key_is_the_first_prompts_id_and_stays_with_further_clicks() -> None:
    (first,) = reading(click("a", 1, 1))
    (second,) = reading(click("a", 1, 1), click("b", 2, 2))
    assert first.key == second.key == "a"


def test_an_ordinary_keypoint_of_the_annotation_gives_no_object_its_key() -> None:
    ordinary = click("old", 5, 5)
    del ordinary["is_positive"]
    (pointed,) = reading(ordinary, click("a", 1, 1))
    assert pointed.key == "a"
    assert [item.positive for item in pointed.items] == [True, True]


def test_an_item_and_its_labels_twin_are_one_click() -> None:
    (pointed,) = reading(*separate_click("a", 10, 20), *separate_click("b", 11, 21))
    assert [(item.id, item.shape) for item in pointed.items] == [
        ("a", "keypoint"),
        ("b", "keypoint"),
    ]
    assert pointed.labels == ("Cat",)


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ({"x": 1, "y": 1}, "keypoint"),
        ({"x": 1, "y": 1, "width": 2, "height": 2}, "rectangle"),
        ({"x": 1, "y": 1, "radiusX": 2, "radiusY": 2}, "ellipse"),
        ({"points": [[1, 1], [2, 2], [1, 2]]}, "polygon"),
        ({"rle": [0]}, "brush"),
        ({"touches": []}, "brush"),
        ({"imageDataURL": "data:"}, "bitmask"),
    ],
)
def test_a_labels_item_alone_has_the_shape_of_its_value(value: dict[str, Any], shape: str) -> None:
    item = {"id": "a", "type": "labels", "to_name": "image", "value": {**value, "labels": ["Cat"]}}
    assert reading(item)[0].items[0].shape == shape


def test_pictures_and_labels_tell_objects_apart() -> None:
    found = reading(
        click("a", 1, 1),
        click("b", 1, 1, label="Dog"),
        click("c", 1, 1, to_name="second"),
        {**click("d", 1, 1), "item_index": 2},
        click("e", 2, 2),
    )
    assert [(each.image, each.index, each.label, len(each.items)) for each in found] == [
        ("image", None, "Cat", 2),
        ("image", None, "Dog", 1),
        ("second", None, "Cat", 1),
        ("image", 2, "Cat", 1),
    ]


def test_each_box_is_an_object_of_its_own() -> None:
    found = reading(rectangle("a", 0, 0, 20, 20), rectangle("b", 50, 50, 20, 20))
    assert [each.key for each in found] == ["a", "b"]


def test_a_box_drawn_over_an_earlier_one_corrects_it() -> None:
    (pointed,) = reading(rectangle("a", 10, 10, 20, 20), rectangle("b", 11, 11, 20, 20))
    assert pointed.key == "a"
    assert [item.value["x"] for item in pointed.items] == [11]


def test_a_box_and_clicks_are_one_object_but_two_boxes_and_clicks_are_refused() -> None:
    (pointed,) = reading(rectangle("a", 10, 10, 20, 20), click("b", 15, 15))
    assert [item.shape for item in pointed.items] == ["rectangle", "keypoint"]
    with pytest.raises(InvalidRequest, match="2 boxes together with other prompts"):
        reading(rectangle("a", 0, 0, 9, 9), rectangle("b", 50, 50, 9, 9), click("c", 1, 1))


def test_items_without_ids_are_kept_apart() -> None:
    first, second = click("", 1, 1), click("", 2, 2)
    (pointed,) = reading(first, second)
    assert len(pointed.items) == 2
    assert pointed.key is None


def test_the_only_image_needs_no_name() -> None:
    item = click("a", 1, 1)
    del item["to_name"]
    assert read({"result": [item]}, ONE_IMAGE, 9)[0].image == "img"
    with pytest.raises(InvalidRequest, match="to_name"):
        reading(item)


def test_relations_are_no_prompts() -> None:
    assert reading({"type": "relation", "from_id": "a", "to_id": "b"}) == []


@pytest.mark.parametrize(
    ("item", "field"),
    [
        (7, r"context.result\[0\]"),
        ({"type": "keypointlabels"}, r"context.result\[0\].value"),
        ({**click("a", 1, 1), "type": "choices"}, r"context.result\[0\].type"),
        ({**click("a", 1, 1), "type": ["keypoint"]}, r"context.result\[0\].type"),
        ({**click("a", 1, 1), "type": "labels", "value": {}}, r"context.result\[0\].type"),
        ({**click("a", 1, 1), "is_positive": "yes"}, r"context.result\[0\].is_positive"),
        ({**click("a", 1, 1), "to_name": "nowhere"}, "to_name"),
        ({**click("a", 1, 1), "to_name": 3}, "to_name"),
        ({**click("a", 1, 1), "item_index": -1}, "item_index"),
        ({**click("a", 1, 1), "item_index": "0"}, "item_index"),
        ({**click("a", 1, 1), "value": {"x": 1, "y": 1, "labels": "Cat"}}, "labels"),
    ],
)
def test_a_faulty_item_is_refused_with_its_field(item: object, field: str) -> None:
    with pytest.raises(InvalidRequest, match=field):
        reading(item)


@pytest.mark.parametrize("context", [None, [], "x", {}, {"result": None}, {"result": {}}])
def test_a_faulty_context_is_refused(context: object) -> None:
    with pytest.raises(InvalidRequest, match="context"):
        read(context, CONFIG, 9)


def test_too_many_prompts_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="MASKLOOP_MAX_CLICKS"):
        reading(*[click(str(n), 1, 1) for n in range(7)], limit=3)
