"""POST /api/v1/segment: what goes in, what comes out, what is refused and how."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import cv2
import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as pycocotools_mask
from werkzeug.test import TestResponse

from backend.frontends.rest import schema
from backend.frontends.rest.openapi import document
from backend.pictures import image_id
from tests.backend.frontends.rest.conftest import MakeClient
from tests.backend.frontends.rest.validator import valid
from tests.backend.growing import GrowingSource

ADDRESS = "/api/v1/segment"
HEIGHT, WIDTH = 60, 80


def disc() -> np.ndarray:
    """bool 60x80: a disc with a hole."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    distance = (columns - 40) ** 2 + (rows - 30) ** 2
    return (distance <= 20**2) & (distance > 6**2)


@pytest.fixture
def picture() -> bytes:
    """Orange where the disc is, blue elsewhere."""
    image = np.where(disc()[..., None], np.uint8([230, 120, 30]), np.uint8([30, 60, 160]))
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


ON, BESIDE, HOLE = [40, 15], [5, 5], [40, 30]


def send_json(client: FlaskClient, **fields: Any) -> TestResponse:
    if isinstance(fields.get("image"), bytes):
        fields["image"] = base64.b64encode(fields["image"]).decode()
    return client.post(ADDRESS, json=fields)


def send_form(client: FlaskClient, image: bytes | None, **fields: Any) -> TestResponse:
    data: dict[str, Any] = {
        name: value if isinstance(value, str | tuple) else json.dumps(value)
        for name, value in fields.items()
    }
    if image is not None:
        data["image"] = (io.BytesIO(image), "photo.png")
    return client.post(ADDRESS, data=data, content_type="multipart/form-data")


def answered(response: TestResponse) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json  # type: ignore[assignment]
    valid("SegmentOutput", body)
    return body


def refused(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json  # type: ignore[assignment]
    valid("ErrorOutput", body)
    assert body["error"]["code"] == code
    assert body["error"]["request_id"] == response.headers["X-Request-Id"]
    assert "Traceback" not in response.text
    return body["error"]  # type: ignore[no-any-return]


def unpacked(body: dict[str, Any]) -> np.ndarray:
    return pycocotools_mask.decode(body["mask"]).astype(bool)  # type: ignore[no-any-return]


# what comes out


def test_a_click_gives_the_object_under_it(client: FlaskClient, picture: bytes) -> None:
    body = answered(send_json(client, image=picture, clicks=[ON]))
    assert np.array_equal(unpacked(body), disc())
    assert (body["width"], body["height"]) == (WIDTH, HEIGHT)
    assert body["box"] == [20, 10, 61, 51]
    assert body["area"] == disc().sum()
    assert body["image_id"] == image_id(picture)
    assert body["version"].startswith("mobilesam@")


def test_form_and_json_say_the_same(client: FlaskClient, picture: bytes) -> None:
    fields = {"clicks": [ON, [*HOLE, False]]}
    encoded = base64.b64encode(picture).decode()
    masks = [
        answered(response)["mask"]
        for response in (
            send_json(client, image=picture, **fields),
            send_form(client, picture, **fields),
            send_form(client, picture, request=fields),
            send_form(client, None, request={"image": encoded}, **fields),
        )
    ]
    assert masks[1:] == masks[:-1]


def test_a_field_of_the_form_overrides_the_json_part(client: FlaskClient, picture: bytes) -> None:
    response = send_form(client, picture, request={"clicks": [BESIDE]}, clicks=[ON])
    assert np.array_equal(unpacked(answered(response)), disc())


def test_the_mask_comes_as_a_png_in_json(client: FlaskClient, picture: bytes) -> None:
    body = answered(send_json(client, image=picture, clicks=[ON], format="png"))
    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(body["mask"]))))
    assert np.array_equal(mask, disc() * 255)


def test_the_mask_comes_as_a_png_alone(client: FlaskClient, picture: bytes) -> None:
    response = client.post(
        ADDRESS,
        data={"image": (io.BytesIO(picture), "a.png"), "clicks": json.dumps([ON])},
        headers={"Accept": "image/png"},
    )
    assert response.status_code == 200
    assert response.mimetype == "image/png"
    mask = np.asarray(Image.open(io.BytesIO(response.data)))
    assert np.array_equal(mask, disc() * 255)
    assert response.headers["X-Image-Id"] == image_id(picture)
    assert response.headers["X-Object-Id"]


def test_the_mask_comes_as_polygons_with_holes(client: FlaskClient, picture: bytes) -> None:
    body = answered(send_json(client, image=picture, clicks=[ON], format="polygons", tolerance=0))
    assert len(body["mask"]) == 2
    # Pixel centres lie at half coordinates; sixteenths of a pixel make that exact for OpenCV.
    rings = [np.rint((np.array(ring) - 0.5) * 16).astype(np.int32) for ring in body["mask"]]
    filled = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(filled, rings, 1, shift=4)
    union = (filled.astype(bool) | disc()).sum()
    assert (filled.astype(bool) & disc()).sum() / union > 0.9
    assert not filled[HOLE[1], HOLE[0]]


@pytest.mark.parametrize("form", ["rle", "png", "polygons"])
@pytest.mark.parametrize(
    "prompt",
    [
        {},
        {"clicks": []},
        {"clicks": [[*BESIDE, False]]},
        {"clicks": [[-5, 3], [4, 9999], [1e300, -1e300]]},
        {"box": [200, 200, 300, 300]},
    ],
)
def test_a_prompt_that_points_at_nothing_gives_an_empty_mask(
    client: FlaskClient, picture: bytes, prompt: dict[str, Any], form: str
) -> None:
    body = answered(send_json(client, image=picture, format=form, **prompt))
    assert (body["area"], body["box"]) == (0, None)
    if form == "rle":
        assert not unpacked(body).any()
    if form == "png":
        assert not np.asarray(Image.open(io.BytesIO(base64.b64decode(body["mask"])))).any()
    if form == "polygons":
        assert body["mask"] == []


# what goes in


@pytest.mark.parametrize("click", [ON, [*ON, True], {"x": 40, "y": 15}, {"x": 40.7, "y": 15.2}])
def test_a_click_is_written_in_several_ways(
    client: FlaskClient, picture: bytes, click: Any
) -> None:
    assert np.array_equal(
        unpacked(answered(send_json(client, image=picture, clicks=[click]))), disc()
    )


def test_boxes_and_scribbles_are_prompts(client: FlaskClient, picture: bytes) -> None:
    body = answered(send_json(client, image=picture, box=[35, 12, 45, 20]))
    assert unpacked(body)[15, 40]
    assert body["box"] == [35, 12, 45, 20]
    turned = answered(send_json(client, image=picture, box=[45, 20, 35, 12]))
    assert turned["mask"] == body["mask"]
    stroke = {"points": [ON, [42, 16]], "radius": 2}
    body = answered(send_json(client, image=picture, scribbles=[stroke]))
    assert np.array_equal(unpacked(body), disc())


def test_a_mask_to_start_from_is_taken_in_every_form(client: FlaskClient, picture: bytes) -> None:
    start = np.zeros((HEIGHT, WIDTH), np.uint8)
    start[2:20, 3:40] = 255
    stream = io.BytesIO()
    Image.fromarray(start).save(stream, "PNG")
    png = stream.getvalue()
    rle = pycocotools_mask.encode(np.asfortranarray(start // 255))
    rle["counts"] = rle["counts"].decode()
    encoded = base64.b64encode(png).decode()
    bodies = [
        answered(response)
        for response in (
            send_json(client, image=picture, mask=encoded),
            send_json(client, image=picture, mask=f"data:image/png;base64,{encoded}"),
            send_json(client, image=picture, mask=rle),
            send_form(client, picture, mask=(io.BytesIO(png), "mask.png")),
            send_form(client, picture, mask=rle),
            send_form(client, picture, mask=encoded),
        )
    ]
    for body in bodies:
        assert np.array_equal(unpacked(body), start > 0)


def test_the_next_click_continues_and_may_name_the_picture(
    client: FlaskClient, picture: bytes, source: GrowingSource
) -> None:
    first = answered(send_json(client, image=picture, clicks=[ON]))
    second = answered(send_json(client, image_id=first["image_id"], clicks=[ON, [*HOLE, False]]))
    assert second["object_id"] == first["object_id"]
    assert (first["remembered"], second["remembered"]) == (0, 1)
    assert source.segmenter.prepared == 1


def test_an_object_keeps_the_name_it_is_given(client: FlaskClient, picture: bytes) -> None:
    body = answered(send_json(client, image=picture, clicks=[ON], object_id="orange"))
    assert body["object_id"] == "orange"


# what is refused


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"clicks": [["left", 2]]}, "clicks", 'clicks[0].x should be a number and is "left"'),
        ({"clicks": [[1, None]]}, "clicks", "clicks[0].y"),
        ({"clicks": [[1, 2], {"x": 3}]}, "clicks", "clicks[1].y is missing"),
        ({"clicks": [[1]]}, "clicks", "clicks[0]"),
        ({"clicks": [[1, 2, 1]]}, "clicks", "clicks[0].positive"),
        ({"clicks": [[1, 2, True, 4]]}, "clicks", "clicks[0]"),
        ({"clicks": 5}, "clicks", "clicks should be a list"),
        ({"clicks": [[1, 2, "yes"]]}, "clicks", "boolean"),
        ({"box": [1, 2, 3]}, "box", "at least 4 entries and has 3"),
        ({"box": [1, 2, 3, "x"]}, "box", "box[3] should be a number"),
        ({"scribbles": [{"points": []}]}, "scribbles", "scribbles[0].points"),
        ({"scribbles": [{"points": [[1, 2]], "radius": 0}]}, "scribbles", "radius"),
        ({"mask": 7}, "mask", "mask should be a string"),
        ({"mask": "###"}, "mask", "mask is not base64"),
        ({"mask": base64.b64encode(b"no picture").decode()}, "mask", "mask"),
        ({"mask": {"size": [60, 80]}}, "mask", "mask.counts is missing"),
        ({"mask": {"size": [6, 8], "counts": "0"}}, "mask", "size"),
        ({"mask": {"size": [60, 80], "counts": "xyz"}}, "mask", "counts"),
        ({"format": "jpeg"}, "format", "'rle', 'png' or 'polygons'"),
        ({"tolerance": -1}, "tolerance", "tolerance"),
        ({"deadline_seconds": 0}, "deadline_seconds", "deadline_seconds"),
        ({"modle": "x"}, "modle", "modle is not a field of this request"),
        ({"image_id": "zz"}, "image_id", "64 hex digits"),
    ],
)
def test_a_wrong_field_is_named_with_its_value(
    client: FlaskClient, picture: bytes, fields: dict[str, Any], field: str, words: str
) -> None:
    status_codes = {"invalid_request": 400, "invalid_image": 400}
    response = send_json(client, **({"image": picture} | fields))
    assert response.json is not None
    code = response.json["error"]["code"]
    error = refused(response, status_codes[code], code)
    assert error["field"] == field
    assert words in error["message"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("place", ['"clicks": [[%s, 2]]', '"box": [0, 0, 9, %s]'])
def test_numbers_that_are_none_are_refused(
    client: FlaskClient, picture: bytes, number: str, place: str
) -> None:
    image = base64.b64encode(picture).decode()
    response = client.post(
        ADDRESS,
        data=f'{{"image": "{image}", {place % number}}}',
        content_type="application/json",
    )
    assert "finite" in refused(response, 400, "invalid_request")["message"]


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"text"', "5", "[" * 100_000, "\xff"])
def test_what_is_no_json_object_is_refused(client: FlaskClient, body: str) -> None:
    response = client.post(ADDRESS, data=body.encode("latin-1"), content_type="application/json")
    refused(response, 400, "invalid_request")


def test_another_content_type_is_refused_with_what_to_send(client: FlaskClient) -> None:
    response = client.post(ADDRESS, data=b"{}", content_type="application/x-www-form-urlencoded")
    message = refused(response, 400, "invalid_request")["message"]
    assert "application/x-www-form-urlencoded" in message
    assert "application/json" in message


def test_a_form_field_that_is_no_json_is_named(client: FlaskClient, picture: bytes) -> None:
    error = refused(send_form(client, picture, clicks="40,15"), 400, "invalid_request")
    assert error["field"] == "clicks"
    assert "clicks=[[320, 240]]" in error["message"]


def test_a_file_under_another_name_is_named(client: FlaskClient, picture: bytes) -> None:
    response = send_form(client, picture, photo=(io.BytesIO(picture), "a.png"))
    assert "photo" in refused(response, 400, "invalid_request")["message"]


def test_the_picture_comes_exactly_once(client: FlaskClient, picture: bytes) -> None:
    error = refused(send_json(client, clicks=[ON]), 400, "invalid_request")
    assert error["field"] == "image"
    both = send_json(client, image=picture, image_id="0" * 64, clicks=[ON])
    assert "more than once" in refused(both, 400, "invalid_request")["message"]


def test_a_picture_that_is_not_remembered_is_asked_for_again(client: FlaskClient) -> None:
    error = refused(send_json(client, image_id="0" * 64, clicks=[ON]), 400, "invalid_request")
    assert error["field"] == "image_id"
    assert "send the picture again" in error["message"]


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_refused(client: FlaskClient, data: bytes) -> None:
    assert refused(send_json(client, image=data), 400, "invalid_image")["field"] == "image"
    assert refused(send_form(client, data), 400, "invalid_image")["field"] == "image"


def test_a_truncated_picture_is_refused(client: FlaskClient, picture: bytes) -> None:
    refused(send_json(client, image=picture[:100], clicks=[ON]), 400, "invalid_image")


def test_too_many_pixels_are_refused(make_client: MakeClient, picture: bytes) -> None:
    response = send_json(make_client(max_pixels=4000), image=picture, clicks=[ON])
    assert "80 x 60" in refused(response, 413, "image_too_large")["message"]


def test_too_large_a_body_is_refused(make_client: MakeClient, picture: bytes) -> None:
    client = make_client(max_body_bytes=100)
    refused(send_json(client, image=picture, clicks=[ON]), 413, "body_too_large")
    refused(send_form(client, picture, clicks=[ON]), 413, "body_too_large")


def test_an_unknown_model_is_refused(client: FlaskClient, picture: bytes) -> None:
    error = refused(
        send_json(client, image=picture, clicks=[ON], model="sam9"), 404, "unknown_model"
    )
    assert "sam9" in error["message"]


def test_too_many_clicks_are_refused(make_client: MakeClient, picture: bytes) -> None:
    response = send_json(make_client(max_clicks=3), image=picture, clicks=[ON] * 4)
    assert refused(response, 400, "invalid_request")["field"] == "clicks"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.sampled_from(["x", "y", "positive", "points", "size", "counts"]), inner
        )
    ),
    max_leaves=12,
)
fields = st.sampled_from(sorted(schema.SegmentInput.model_fields.keys() - {"image"}))


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.dictionaries(fields, anything, max_size=3))
def test_nothing_that_is_sent_is_our_mistake(
    client: FlaskClient, picture: bytes, sent: dict[str, Any]
) -> None:
    response = send_json(client, image=picture, **sent)
    assert response.status_code in (200, 400, 404)
    valid("SegmentOutput" if response.status_code == 200 else "ErrorOutput", response.json)


def test_the_schema_takes_what_the_server_takes() -> None:
    example = {"image": "AAAA", "clicks": [[1, 2], [1, 2, False], {"x": 1, "y": 2}]}
    valid("SegmentInput", example)
    names = document()["components"]["schemas"]["SegmentForm"]["properties"].keys()
    assert names == schema.SegmentInput.model_fields.keys() | {"request"}
