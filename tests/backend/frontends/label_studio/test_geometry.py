from __future__ import annotations

import math
from typing import Any

import pytest

from backend.errors import InvalidRequest
from backend.frontends.label_studio import geometry
from backend.frontends.label_studio.geometry import ellipse, overlap, polygon, position, rectangle

SIZE = (100, 200)


def box(x: float, y: float, width: float, height: float, rotation: float = 0) -> dict[str, Any]:
    return {"x": x, "y": y, "width": width, "height": height, "rotation": rotation}


def test_percent_become_pixels_of_the_displayed_picture() -> None:
    assert position(25, 50, SIZE) == (50, 50)
    assert position(0, 0, SIZE) == (0, 0)
    assert position(101, -1, SIZE) == (202, -1)


def test_a_rectangle_is_its_box() -> None:
    assert rectangle(box(10, 20, 30, 40), SIZE, "value") == (20, 20, 80, 60)


def test_a_turned_rectangle_is_the_box_around_it() -> None:
    # 40 x 20 pixels about its top left corner (100, 40), a quarter to the right.
    found = rectangle(box(50, 40, 20, 20, rotation=90), SIZE, "value")
    assert found == pytest.approx((80, 40, 100, 80))


def test_a_rectangle_is_turned_in_pixels_not_in_percent() -> None:
    # 100 x 50 pixels turned by 45 degrees about (100, 0): the corners by hand.
    found = rectangle(box(50, 0, 50, 50, rotation=45), (100, 200), "value")
    half = math.sqrt(0.5)
    assert found == pytest.approx((100 - 50 * half, 0, 100 + 100 * half, 100))


def test_a_box_ends_with_the_picture_and_is_none_outside_it() -> None:
    assert rectangle(box(90, 90, 50, 50), SIZE, "value") == (180, 90, 200, 100)
    assert rectangle(box(110, 10, 50, 50), SIZE, "value") is None
    assert rectangle(box(10, 10, 0, 50), SIZE, "value") is None


def test_a_rectangle_drawn_backwards_is_the_same() -> None:
    assert rectangle(box(40, 60, -30, -40), SIZE, "value") == (20, 20, 80, 60)


def test_an_ellipse_is_the_box_around_it() -> None:
    value = {"x": 50, "y": 50, "radiusX": 10, "radiusY": 20}
    assert ellipse(value, SIZE, "value") == pytest.approx((80, 30, 120, 70))
    upright = ellipse({**value, "radiusY": 10, "rotation": 90}, SIZE, "value")
    assert upright == pytest.approx((90, 30, 110, 70))


def test_a_polygon_is_its_inside() -> None:
    found = polygon({"points": [[10, 20], [30, 20], [30, 60], [10, 60]]}, SIZE, "value")
    assert found.box == (20, 20, 60, 60)
    assert found.area == 40 * 40


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({}, "value.x"),
        ({"x": "1"}, "value.x"),
        ({"x": True}, "value.x"),
        ({"x": math.nan}, "value.x"),
        ({"x": math.inf}, "value.x"),
        ({"x": 1e30}, "value.x"),
        ({"x": 10**400}, "value.x"),
        ({"x": 1, "y": None}, "value.y"),
        ({**box(1, 1, 1, 1), "rotation": "left"}, "value.rotation"),
    ],
)
def test_what_is_no_number_is_refused_with_its_field(value: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        rectangle(value, SIZE, "value")
    assert caught.value.field == field


@pytest.mark.parametrize(
    "points",
    [None, [], [[1, 1], [2, 2]], [[1, 1], [2, 2], [3]], [[1, 1], [2, 2], ["a", 3]], [1, 2, 3]],
)
def test_a_faulty_polygon_is_refused(points: object) -> None:
    with pytest.raises(InvalidRequest, match=r"value\.points"):
        polygon({"points": points}, SIZE, "value")


def test_a_polygon_of_endless_points_is_refused() -> None:
    points = [[1, 1]] * (geometry.MAX_POINTS + 1)
    with pytest.raises(InvalidRequest, match=r"value\.points must be a list of 3 to"):
        polygon({"points": points}, SIZE, "value")


def test_overlap_is_intersection_over_union() -> None:
    assert overlap((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (10, 0, 20, 10)) == 0
