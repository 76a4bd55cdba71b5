"""The answer's form by the caller's version, and what each form holds."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from cvat_sdk.masks import decode_mask
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from backend.frontends.cvat.answer import Form, form, render, union
from backend.masks import Mask
from backend.service.messages import Answer

HEIGHT, WIDTH = 7, 9


def answer(mask: Mask | np.ndarray, score: float | None = None) -> Answer:
    mask = mask if isinstance(mask, Mask) else Mask.of(mask)
    return Answer("r", "o", "i", "p", "mobilesam@sa-1b:0123456789ab", mask, score, 0, 1.0)


def strict(text: str) -> Any:
    """JSON as a browser reads it: without NaN and Infinity."""

    def refuse(name: str) -> float:
        raise ValueError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def drawn() -> np.ndarray:
    picture = np.zeros((HEIGHT, WIDTH), np.bool_)
    picture[2:6, 3:8] = True
    picture[3, 4] = False
    return picture


masks = arrays.arrays(np.bool_, (HEIGHT, WIDTH))
SERVER = "python-requests/2.32.3"


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (f"CVAT/1.7.0 {SERVER}", Form.OUTLINE),
        (f"CVAT/2.2.9 {SERVER}", Form.OUTLINE),
        (f"CVAT/2.3.0 {SERVER}", Form.CROPPED),
        (f"CVAT/2.4.0 {SERVER}", Form.CROPPED),
        (f"CVAT/2.15.0 {SERVER}", Form.CROPPED),
        (f"CVAT/2.54.1.alpha0 {SERVER}", Form.CROPPED),
        (f"CVAT/2.55.0.alpha0 {SERVER}", Form.WHOLE),
        (f"CVAT/2.69.9 {SERVER}", Form.WHOLE),
        (f"CVAT/2.70.0 {SERVER}", Form.SHAPES),
        (f"cvat/2.80.1.dev3 {SERVER}", Form.SHAPES),
        (f"{SERVER} CVAT/2.100", Form.SHAPES),
        (f"CVAT/3.0.0 {SERVER}", Form.SHAPES),
        (SERVER, Form.WHOLE),
        ("CVAT/next", Form.WHOLE),
        ("NOTCVAT/2.2.0", Form.WHOLE),
        ("", Form.WHOLE),
        (None, Form.WHOLE),
    ],
)
def test_the_version_chooses_the_form(agent: str | None, expected: Form) -> None:
    assert form(agent) is expected


def test_a_caller_that_names_no_version_has_the_one_of_the_settings() -> None:
    assert form(SERVER, "2.2") is Form.OUTLINE
    assert form(None, "2.71.3") is Form.SHAPES
    assert form(f"CVAT/2.30.0 {SERVER}", "2.2") is Form.CROPPED


@given(masks)
def test_the_whole_mask_is_rows_of_zeros_and_ones(picture: np.ndarray) -> None:
    found = strict(render(Form.WHOLE, [answer(picture)]))
    assert np.array_equal(np.array(found["mask"]), picture.astype(int))
    assert {type(value) for row in found["mask"] for value in row} == {int}
    assert found.get("points") == (None if picture.any() else [])
    assert "bounds" not in found


@given(masks)
def test_the_cropped_mask_lies_in_inclusive_bounds(picture: np.ndarray) -> None:
    found = strict(render(Form.CROPPED, [answer(picture)]))
    if not picture.any():
        assert found == {"mask": picture.astype(int).tolist(), "points": []}
        return
    left, top, right, bottom = found["bounds"]
    laid = np.zeros_like(picture)
    laid[top : bottom + 1, left : right + 1] = np.array(found["mask"], bool)
    assert np.array_equal(laid, picture)
    assert np.shape(found["mask"]) == (bottom - top + 1, right - left + 1)


@given(masks)
def test_shapes_are_what_cvat_itself_decodes(picture: np.ndarray) -> None:
    found = strict(render(Form.SHAPES, [answer(picture)]))
    if not picture.any():
        assert found == {"shapes": []}
        return
    (shape,) = found["shapes"]
    assert shape["type"] == "mask"
    assert all(type(number) is int for number in shape["points"])
    decoded = decode_mask(shape["points"], image_width=WIDTH, image_height=HEIGHT)
    assert np.array_equal(decoded, picture)


@given(masks)
def test_an_outline_is_a_list_of_points_on_the_picture(picture: np.ndarray) -> None:
    found = strict(render(Form.OUTLINE, [answer(picture)]))
    assert isinstance(found, list)
    assert bool(found) == bool(picture.any())
    for x, y in found:
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


def test_a_polygon_runs_around_the_object() -> None:
    xs, ys = zip(*strict(render(Form.OUTLINE, [answer(drawn())])), strict=True)
    assert (min(xs), min(ys)) == (3, 2)
    assert max(xs) in (7, 8)
    assert max(ys) in (5, 6)


@pytest.mark.parametrize(
    ("score", "text"),
    [(0.934, "0.93"), (1.07, "1.00"), (-0.2, "0.00"), (0.0, "0.00"), (np.float32(0.5), "0.50")],
)
def test_confidence_is_text_between_0_and_1(score: float, text: str) -> None:
    (shape,) = strict(render(Form.SHAPES, [answer(drawn(), score)]))["shapes"]
    assert shape["attributes"] == [{"spec_id": 0, "value": text}]


@pytest.mark.parametrize("score", [None, float("nan"), float("inf")])
def test_without_a_usable_score_there_is_no_confidence(score: float | None) -> None:
    (shape,) = strict(render(Form.SHAPES, [answer(drawn(), score)]))["shapes"]
    assert shape["attributes"] == []


def test_one_pixel_has_the_six_numbers_that_cvat_asks_for() -> None:
    picture = np.zeros((HEIGHT, WIDTH), np.bool_)
    picture[4, 5] = True
    (shape,) = strict(render(Form.SHAPES, [answer(picture)]))["shapes"]
    assert shape["points"] == [0, 1, 5, 4, 5, 4]


def test_several_objects_are_several_shapes_and_one_mask() -> None:
    one, two = np.zeros((2, HEIGHT, WIDTH), np.bool_)
    one[0:2, 0:2] = True
    two[4:7, 1:9] = True
    answers = [answer(one, 0.5), answer(np.zeros_like(one)), answer(two)]
    shapes = strict(render(Form.SHAPES, answers))["shapes"]
    decoded = [decode_mask(s["points"], image_width=WIDTH, image_height=HEIGHT) for s in shapes]
    assert np.array_equal(decoded, [one, two])
    assert np.array_equal(strict(render(Form.WHOLE, answers))["mask"], one | two)
    cropped = strict(render(Form.CROPPED, answers))
    assert cropped["bounds"] == [0, 0, 8, 6]
    assert np.array_equal(cropped["mask"], one | two)


@given(st.lists(masks, min_size=1, max_size=4))
def test_a_union_has_the_pixels_of_all(pictures: list[np.ndarray]) -> None:
    found = union([Mask.of(picture) for picture in pictures])
    assert np.array_equal(found.full, np.any(pictures, axis=0))
    assert found.box == Mask.of(found.full).box


def test_a_small_object_on_a_12_megapixel_picture_is_a_small_answer() -> None:
    mask = Mask.of(np.ones((300, 400), np.bool_), offset=(1000, 700), size=(3000, 4000))
    assert len(render(Form.SHAPES, [answer(mask)])) < 200
    assert len(render(Form.CROPPED, [answer(mask)])) < 2 * 300 * 401 + 100
    assert len(render(Form.WHOLE, [answer(mask)])) < 2 * 3000 * 4001 + 100
