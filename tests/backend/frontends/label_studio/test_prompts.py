from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backend.codecs import label_studio as codec
from backend.errors import InvalidRequest
from backend.frontends.label_studio.config import parse
from backend.frontends.label_studio.items import read
from backend.frontends.label_studio.prompts import prompt
from backend.masks import Mask
from backend.pictures import PictureLimits
from models.prompts import Click, Prompt, Scribble
from tests.backend.frontends.label_studio.recorded import click, draft, rectangle, stroke

CONFIG = parse('<View><Image name="image" value="$image"/></View>')
LIMITS = PictureLimits(1 << 20, 1 << 20)
SIZE = (100, 200)


def prompt_of(*items: object, task: dict[str, Any] | None = None) -> Prompt:
    (pointed,) = read({"result": list(items)}, CONFIG, 50)
    return prompt(pointed, SIZE, LIMITS, task)


def item(type_: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"id": "x", "type": type_, "to_name": "image", "value": value}


def block(left: int, top: int, right: int, bottom: int) -> Mask:
    array = np.zeros(SIZE, np.bool_)
    array[top:bottom, left:right] = True
    return Mask.of(array)


def test_clicks_of_both_signs_keep_their_order() -> None:
    found = prompt_of(click("a", 10, 20), click("b", 50, 50, positive=False), click("c", 1, 1))
    assert found.clicks == (Click(20, 20, True), Click(100, 50, False), Click(2, 1, True))
    assert not found.has_base


def test_a_box_goes_with_clicks() -> None:
    found = prompt_of(rectangle("a", 10, 10, 20, 30), click("b", 15, 15))
    assert found.box == (20, 10, 60, 40)
    assert found.clicks == (Click(30, 15),)


def test_a_box_outside_the_picture_says_nothing() -> None:
    assert not prompt_of(rectangle("a", 110, 10, 20, 30)).points_at_something


def test_a_brush_mask_is_the_initial_mask() -> None:
    mask = block(20, 10, 60, 40)
    value = {"format": "rle", "rle": codec.encode_rle(mask), "brushlabels": ["Cat"]}
    found = prompt_of(item("brushlabels", value))
    assert found.mask is not None
    assert np.array_equal(found.mask, mask.full)


def test_masks_of_several_kinds_are_joined() -> None:
    bits = {"imageDataURL": codec.png_data_url(block(0, 0, 10, 10)), "bitmasklabels": ["Cat"]}
    ring = {"points": [[50, 50], [60, 50], [60, 60], [50, 60]], "polygonlabels": ["Cat"]}
    found = prompt_of(item("bitmasklabels", bits), {**item("polygonlabels", ring), "id": "y"})
    assert found.mask is not None
    expected = block(0, 0, 10, 10).full | block(100, 50, 120, 60).full
    assert np.array_equal(found.mask, expected)


def test_an_empty_mask_is_none() -> None:
    value = {"format": "rle", "rle": codec.encode_rle(Mask.empty(SIZE)), "brushlabels": ["Cat"]}
    assert prompt_of(item("brushlabels", value)).mask is None


def test_raw_strokes_are_scribbles_and_the_eraser_is_negative() -> None:
    touches = [stroke([10, 10, 20, 20], width=3), stroke([50, 50, 60, 50], kind="eraser")]
    found = prompt_of(item("brushlabels", {"format": "rle", "touches": touches}))
    assert found.scribbles == (
        Scribble(((20, 10), (40, 20)), True, 3.0),
        Scribble(((100, 50), (120, 50)), False, 2.0),
    )


@pytest.mark.parametrize(
    ("type_", "value", "field"),
    [
        ("brushlabels", {"format": "rle"}, "value"),
        ("brushlabels", {"rle": 10**12}, "value.rle"),
        ("brushlabels", {"rle": [1, 2, 3]}, "value.rle"),
        ("brushlabels", {"rle": ["a"]}, "value.rle"),
        ("brushlabels", {"touches": [7]}, r"touches\[0\]"),
        ("brushlabels", {"touches": [{"relativePoints": [1]}]}, "relativePoints"),
        ("brushlabels", {"touches": [{"relativePoints": [1, None]}]}, "relativePoints"),
        ("brushlabels", {"touches": [stroke([])] * 201}, "201|at most 200"),
        ("bitmasklabels", {}, "imageDataURL"),
        ("bitmasklabels", {"imageDataURL": "http://host/a.png"}, "imageDataURL"),
        ("keypointlabels", {"x": 1, "y": float("nan")}, "value.y"),
    ],
)
def test_a_faulty_value_is_refused_with_its_field(
    type_: str, value: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest, match=field):
        prompt_of(item(type_, value))


def test_strokes_of_the_newest_draft_join_the_click() -> None:
    old = draft(stroke([0, 0, 5, 5]), updated="2026-01-01T00:00:00Z")
    new = draft(stroke([10, 10, 30, 10]), updated="2026-01-03T00:00:00Z")
    found = prompt_of(click("a", 20, 20), task={"drafts": [old, new]})
    assert found.scribbles == (Scribble(((20, 10), (60, 10)), True, 2.0),)
    assert found.clicks == (Click(40, 20),)


def test_a_region_painted_elsewhere_is_another_object() -> None:
    far = draft(stroke([80, 80, 84, 80]))
    assert prompt_of(click("a", 10, 10), task={"drafts": [far]}).scribbles == ()


def test_strokes_inside_a_box_join_it() -> None:
    inside = draft(stroke([45, 45, 46, 46]))
    assert prompt_of(rectangle("a", 10, 10, 80, 80), task={"drafts": [inside]}).scribbles != ()


def test_strokes_of_another_label_picture_or_saved_region_are_left_alone() -> None:
    other_label = draft(stroke([10, 10, 30, 10]), label="Dog")
    assert prompt_of(click("a", 20, 20), task={"drafts": [other_label]}).scribbles == ()
    other_picture = draft(stroke([10, 10, 30, 10]))
    other_picture["result"][0]["item_index"] = 1
    assert prompt_of(click("a", 20, 20), task={"drafts": [other_picture]}).scribbles == ()
    saved = draft(stroke([10, 10, 30, 10]))
    saved["result"][0]["value"]["rle"] = [0]
    assert prompt_of(click("a", 20, 20), task={"drafts": [saved]}).scribbles == ()


def test_strokes_with_separate_labels_are_found() -> None:
    pair = draft(stroke([10, 10, 30, 10]))
    region = pair["result"][0]
    del region["value"]["brushlabels"]
    region["type"] = "brush"
    twin = {**region, "type": "labels", "value": {**region["value"], "labels": ["Cat"]}}
    pair["result"].append(twin)
    assert len(prompt_of(click("a", 20, 20), task={"drafts": [pair]}).scribbles) == 1


@pytest.mark.parametrize(("strokes", "counted"), [(20, 20), (21, 0)])
def test_who_paints_with_many_strokes_paints_the_mask(strokes: int, counted: int) -> None:
    painted = draft(*[stroke([10, 10, 30, 10])] * strokes)
    assert len(prompt_of(click("a", 20, 20), task={"drafts": [painted]}).scribbles) == counted


def test_a_draft_of_endless_points_has_no_scribbles() -> None:
    painted = draft(stroke([10, 10] * 5_001))
    assert prompt_of(click("a", 20, 20), task={"drafts": [painted]}).scribbles == ()


@pytest.mark.parametrize(
    "drafts",
    [
        None,
        "x",
        [None],
        [{}],
        [{"result": "x"}],
        [{"result": [None, {}, {"value": 3}]}],
        [draft({"relativePoints": "x"})],
        [draft(stroke([]))],
    ],
)
def test_an_untidy_draft_does_not_spoil_the_click(drafts: object) -> None:
    found = prompt_of(click("a", 20, 20), task={"drafts": drafts})
    assert found == Prompt((Click(40, 20),))
