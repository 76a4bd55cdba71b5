"""What CVAT's servers and API users send, version by version, and what is refused."""

from __future__ import annotations

import base64
import json
import textwrap
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import InvalidRequest
from backend.frontends.cvat import protocol
from models.prompts import Click, Prompt

PICTURE = bytes(range(256)) * 3 + b"end"
TEXT = base64.b64encode(PICTURE).decode()


def payload(**fields: Any) -> dict[str, Any]:
    return {"image": TEXT, "pos_points": [], "neg_points": [], **fields}


def prompt(**fields: Any) -> Prompt:
    (request,) = protocol.parse(payload(**fields))
    return request.prompt


def refusal(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        protocol.parse(payload(**fields))
    return caught.value


def test_a_call_is_one_unordered_request_of_nobody_in_particular() -> None:
    fields = payload(pos_points=[[103.2421875, 40.5]], neg_points=[[7, 8.25]], obj_bbox=[])
    (request,) = protocol.parse(fields, model="ritm-hrnet18s")
    assert request.image == PICTURE
    assert request.prompt == Prompt((Click(103.2421875, 40.5, True), Click(7.0, 8.25, False)))
    assert not request.ordered
    assert request.model == "ritm-hrnet18s"
    assert (request.origin.tool, request.origin.user, request.origin.task) == ("cvat", None, None)


def test_positives_come_first_and_keep_their_order() -> None:
    found = prompt(neg_points=[[1, 1], [2, 2]], pos_points=[[3, 3], [4, 4]]).clicks
    assert [(click.x, click.positive) for click in found] == [
        (3.0, True),
        (4.0, True),
        (1.0, False),
        (2.0, False),
    ]


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_null_empty_and_absent_lists_are_the_same(nothing: object) -> None:
    fields = {"image": TEXT, "pos_points": nothing, "neg_points": nothing, "obj_bbox": nothing}
    assert protocol.parse(fields)[0].prompt == Prompt()
    assert protocol.parse({"image": TEXT})[0].prompt == Prompt()


@pytest.mark.parametrize(
    "corners",
    [
        [[10.5, 20], [30, 40.25]],
        [[30, 40.25], [10.5, 20]],
        [[30, 20], [10.5, 40.25]],
        [[10.5, 40.25], [30, 20]],
    ],
)
def test_a_box_is_two_opposite_corners_in_any_order(corners: list[list[float]]) -> None:
    assert prompt(obj_bbox=corners).box == (10.5, 20.0, 30.0, 40.25)


def test_a_server_before_2_16_3_that_starts_with_a_box_leaves_no_clicks() -> None:
    sent = [[1, 2], [30, 40]]
    assert prompt(obj_bbox=sent[0:2], pos_points=sent[2:]) == Prompt(box=(1.0, 2.0, 30.0, 40.0))


def test_a_box_without_area_says_nothing() -> None:
    assert prompt(obj_bbox=[[5, 5], [5, 9]]) == Prompt()
    assert prompt(obj_bbox=[[5, 5], [5, 5], [0, 0], [8, 8]]).box == (0.0, 0.0, 8.0, 8.0)


def test_several_boxes_are_several_objects_and_a_click_belongs_to_the_nearest() -> None:
    fields = payload(
        obj_bbox=[[0, 0], [10, 10], [40, 10], [20, 0]],
        pos_points=[[5, 5], [14, 5]],
        neg_points=[[39, 9], [500, -3]],
    )
    left, right = (request.prompt for request in protocol.parse(fields))
    assert left == Prompt((Click(5, 5), Click(14, 5)), box=(0.0, 0.0, 10.0, 10.0))
    assert right == Prompt((Click(39, 9, False), Click(500, -3, False)), box=(20.0, 0.0, 40.0, 10))


def test_a_click_in_two_boxes_belongs_to_both_and_a_box_counts_once() -> None:
    fields = payload(obj_bbox=[[0, 0], [10, 10], [5, 5], [15, 15]] * 2, pos_points=[[7, 7]])
    assert [request.prompt.clicks for request in protocol.parse(fields)] == [(Click(7, 7),)] * 2


def test_coordinates_outside_the_picture_and_below_zero_pass() -> None:
    found = prompt(pos_points=[[-12.5, 1e9]], obj_bbox=[[-5, -5], [1e7, 3]])
    assert found.clicks == (Click(-12.5, 1e9),)
    assert found.box == (-5.0, -5.0, 1e7, 3.0)


@pytest.mark.parametrize(
    "image",
    [
        TEXT,
        TEXT.rstrip("="),
        "\r\n".join(textwrap.wrap(TEXT, 76)) + "\n",
        "data:image/png;base64," + TEXT,
        f" {TEXT}\t",
    ],
)
def test_base64_in_every_dress(image: str) -> None:
    assert protocol.parse(payload(image=image))[0].image == PICTURE


@given(st.binary(min_size=1, max_size=80))
def test_base64_of_any_length_survives_lost_padding(data: bytes) -> None:
    bare = base64.b64encode(data).decode().rstrip("=")
    assert protocol.parse({"image": bare})[0].image == data


@pytest.mark.parametrize("image", [None, "", 7, ["x"], {"data": "x"}, "not base64!", "A", "Ümläut"])
def test_an_image_that_is_none_is_named(image: object) -> None:
    error = refusal(image=image)
    assert error.field == "image"
    assert "base64" in error.message


def test_unknown_keys_are_ignored() -> None:
    unknown = {"mapping": {"a": float("nan")}, "text_prompts": ["cat"], "roi": 9}
    assert prompt(pos_points=[[1, 2]], **unknown) == Prompt((Click(1, 2),))


def test_a_threshold_is_checked_and_changes_nothing() -> None:
    assert prompt(pos_points=[[1, 2]], threshold=0.8) == prompt(pos_points=[[1, 2]])
    assert refusal(threshold="high").field == "threshold"


@pytest.mark.parametrize("name", ["pos_points", "neg_points", "obj_bbox"])
@pytest.mark.parametrize(
    "point",
    [
        [float("nan"), 1],
        [1, float("inf")],
        [1, -float("inf")],
        [10**400, 1],
        ["1", 2],
        [True, 2],
        [None, 2],
        [1],
        [1, 2, 3],
        7,
        "ab",
        {"x": 1, "y": 2},
    ],
)
def test_what_is_no_point_is_named_with_its_place(name: str, point: object) -> None:
    error = refusal(**{name: [[1, 1], point]})
    assert error.field == f"{name}[1]"
    assert f"{name}[1]" in error.message


@pytest.mark.parametrize("name", ["pos_points", "neg_points", "obj_bbox"])
@pytest.mark.parametrize("value", ["[[1, 2]]", {"x": 1}, 3, True])
def test_what_is_no_list_is_named(name: str, value: object) -> None:
    assert refusal(**{name: value}).field == name


def test_an_odd_number_of_corners_is_refused() -> None:
    error = refusal(obj_bbox=[[1, 2], [3, 4], [5, 6]])
    assert error.field == "obj_bbox"
    assert "3 points" in error.message


def test_more_boxes_than_can_be_meant_are_refused() -> None:
    corners = [[x, y] for n in range(17) for x, y in ((n, 0), (n + 1, 1))]
    assert "17 boxes" in refusal(obj_bbox=corners).message


@pytest.mark.parametrize("kind", [str, str.encode, lambda text: bytearray(text.encode())])
def test_a_body_may_be_text_bytes_or_parsed(kind: Any) -> None:
    fields = payload(pos_points=[[1, 2]])
    assert protocol.read(kind(json.dumps(fields))) == fields
    assert protocol.read(fields) is fields


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe\xfa", "image=abc", "[" * 100_000, b"[1, 2]", "3", None, [1], 4.5],
)
def test_a_body_that_is_no_json_object_is_refused(body: object) -> None:
    with pytest.raises(InvalidRequest, match="JSON"):
        protocol.read(body)


def test_nan_in_the_text_of_a_body_reaches_the_check() -> None:
    body = f'{{"image": "{TEXT}", "pos_points": [[NaN, 1]], "neg_points": []}}'
    with pytest.raises(InvalidRequest, match="finite"):
        protocol.parse(protocol.read(body))


def test_a_sentence_stays_short_whatever_was_sent() -> None:
    assert len(refusal(pos_points="x" * 10_000_000).message) < 300
    assert len(refusal(pos_points=[[1] * 1_000_000]).message) < 300
