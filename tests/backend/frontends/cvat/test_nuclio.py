"""The function behind nuclio: nuclio-sdk's own events, contexts and responses."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import nuclio_sdk
import numpy as np
import pytest
from cvat_sdk.masks import decode_mask
from nuclio_sdk.json_encoder import Encoder
from nuclio_sdk.logger import JSONFormatter

from backend import weights
from backend.errors import InvalidSettings, WeightsMissing
from backend.frontends.cvat import nuclio
from backend.service import Service, build
from backend.settings import load
from tests import scene
from tests.backend.frontends.cvat.payloads import (
    BETWEEN,
    NEW,
    OLD,
    overlap,
    payload,
    pixels,
    strict,
)
from tests.backend.frontends.cvat.pictures import BOX, HEIGHT, INSIDE, KINDS, OUTSIDE, SQUARE, WIDTH
from tests.backend.growing import GrowingSource


class Log(io.StringIO):
    """What the context's logger writes, line by line as the wrapper sends it."""

    def records(self, level: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.getvalue().splitlines()]
        return [record for record in found if record["level"] == level]


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def context(log: Log) -> Iterator[nuclio_sdk.Context]:
    logger = nuclio_sdk.Logger(logging.DEBUG, name="nuclio_sdk.test")
    logger.set_handler("default", log, JSONFormatter())
    ours = logging.getLogger("backend")
    before, level = list(ours.handlers), ours.level
    yield nuclio_sdk.Context(logger, nuclio_sdk.Platform("local", "nuclio"), worker_id="0")
    ours.handlers[:] = before
    ours.setLevel(level)


@pytest.fixture
def ready(context: nuclio_sdk.Context, make_service: Callable[..., Service]) -> nuclio_sdk.Context:
    service = make_service()
    context.user_data.maskloop = nuclio.Function(service, service.settings)
    return context


def event(body: object, agent: str = OLD, content_type: str = "application/json") -> Any:
    headers = {"User-Agent": agent, "Content-Type": content_type, "Connection": "keep-alive"}
    return nuclio_sdk.Event(
        body=body,
        content_type=content_type,
        headers=headers,
        method="POST",
        path="/any/path",
        trigger=nuclio_sdk.TriggerInfo("http", "myHttpTrigger"),
    )


def sent(response: object) -> dict[str, Any]:
    """What the wrapper makes of a handler's return value."""
    made: dict[str, Any] = nuclio_sdk.Response.from_entrypoint_output(Encoder().encode, response)
    return made


def answer(context: nuclio_sdk.Context, body: object, agent: str = OLD) -> Any:
    response = sent(nuclio.handler(context, event(body, agent)))
    assert response["status_code"] == 200, response["body"]
    assert response["content_type"] == "application/json"
    assert response["body_encoding"] == "text"
    return strict(response["body"])


def refusal(context: nuclio_sdk.Context, body: object, agent: str = OLD) -> tuple[int, Any]:
    response = sent(nuclio.handler(context, event(body, agent)))
    assert response["content_type"] == "application/json"
    return response["status_code"], strict(response["body"])["error"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_is_segmented(ready: nuclio_sdk.Context, kind: str) -> None:
    found = answer(ready, payload(KINDS[kind](), pos_points=[INSIDE]))
    assert overlap(pixels(found)) > 0.9


@pytest.mark.parametrize("agent", [OLD, BETWEEN, NEW, "python-requests/2.32.3"])
def test_every_version_gets_the_same_pixels(ready: nuclio_sdk.Context, agent: str) -> None:
    found = answer(ready, payload(KINDS["video frame"](), pos_points=[INSIDE]), agent)
    assert np.array_equal(pixels(found), SQUARE)


def test_a_version_before_masks_gets_a_polygon(ready: nuclio_sdk.Context) -> None:
    found = answer(ready, payload(KINDS["rgba"](), pos_points=[INSIDE], obj_bbox=None), "CVAT/2.2")
    assert isinstance(found, list)
    assert all(len(point) == 2 for point in found)


def test_the_newest_form_tells_the_confidence(ready: nuclio_sdk.Context) -> None:
    (shape,) = answer(ready, payload(KINDS["jpeg"](), pos_points=[INSIDE]), NEW)["shapes"]
    (attribute,) = shape["attributes"]
    assert attribute["spec_id"] == 0
    assert 0 <= float(attribute["value"]) <= 1


@pytest.mark.parametrize(
    "prompt",
    [
        {},
        {"obj_bbox": None},
        {"neg_points": [OUTSIDE]},
        {"pos_points": [[-4.0, 3.0], [WIDTH + 50.0, 2.0]]},
        {"obj_bbox": [[-30, -30], [-2, -2]]},
        {"obj_bbox": [[WIDTH + 1, 0], [WIDTH + 9, 8], [0, HEIGHT + 1], [8, HEIGHT + 5]]},
    ],
)
def test_prompts_without_sense_get_an_empty_mask(
    ready: nuclio_sdk.Context, prompt: dict[str, Any]
) -> None:
    body = payload(KINDS["video frame"](), **prompt)
    empty = {"mask": np.zeros((HEIGHT, WIDTH), int).tolist(), "points": []}
    assert answer(ready, body, OLD) == empty
    assert answer(ready, body, BETWEEN) == empty
    assert answer(ready, body, NEW) == {"shapes": []}
    assert answer(ready, body, "CVAT/2.1.0") == []


@pytest.mark.parametrize(
    "corners", [BOX, BOX[::-1], [[BOX[0][0], BOX[1][1]], [BOX[1][0], BOX[0][1]]]]
)
def test_a_box_alone_is_enough(ready: nuclio_sdk.Context, corners: list[list[float]]) -> None:
    found = answer(ready, payload(KINDS["video frame"](), obj_bbox=corners))
    assert np.array_equal(pixels(found), SQUARE)


def test_several_boxes_are_several_shapes(ready: nuclio_sdk.Context) -> None:
    corners = [*BOX, [5, 50], [30, 75]]
    found = answer(ready, payload(KINDS["video frame"](), obj_bbox=corners), NEW)
    assert len(found["shapes"]) == 2
    ground = np.zeros_like(SQUARE)
    ground[50:75, 5:30] = True
    assert np.array_equal(pixels(found), SQUARE | ground)


def test_a_negative_click_takes_away(ready: nuclio_sdk.Context) -> None:
    image = KINDS["video frame"]()
    both = answer(ready, payload(image, pos_points=[INSIDE, OUTSIDE]))
    assert pixels(both).all()
    less = answer(ready, payload(image, pos_points=[INSIDE, OUTSIDE], neg_points=[[3, 3]]))
    assert not pixels(less)[0, 0]


def test_the_next_click_continues_from_the_last_answer(
    ready: nuclio_sdk.Context, source: GrowingSource
) -> None:
    image = KINDS["jpeg"]()
    answer(ready, payload(image, pos_points=[INSIDE]))
    answer(ready, payload(image, pos_points=[INSIDE, [80, 30]]))
    answer(ready, payload(image, pos_points=[INSIDE, [80, 30]], neg_points=[OUTSIDE]))
    assert source.segmenter.prepared == 1
    assert sum(source.segmenter.batches) == 3


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "text/plain", None])
def test_a_body_that_the_wrapper_leaves_as_bytes(
    ready: nuclio_sdk.Context, content_type: str
) -> None:
    body = json.dumps(payload(KINDS["jpeg"](), pos_points=[INSIDE])).encode()
    response = sent(nuclio.handler(ready, event(body, NEW, content_type)))
    assert overlap(pixels(strict(response["body"]))) > 0.9


@pytest.mark.parametrize("decoded", [True, False])
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_an_event_as_the_processor_packs_it(
    ready: nuclio_sdk.Context, decoded: bool, content_type: str
) -> None:
    body = json.dumps(payload(KINDS["video frame"](), pos_points=[INSIDE]))
    packed = msgpack.packb(
        {
            "body": body.encode(),
            "content_type": content_type,
            "headers": {"user-agent": NEW, "Content-Type": content_type},
            "fields": {},
            "id": "1",
            "method": "POST",
            "path": "/",
            "url": "http://function/",
            "size": len(body),
            "timestamp": 1_700_000_000,
            "trigger": {"kind": "http", "name": "myHttpTrigger"},
            "shard_id": 0,
            "num_shards": 0,
            "type": "",
            "type_version": "",
            "version": "",
        }
    )
    kinds = nuclio_sdk.EventDeserializerKinds
    kind = kinds.msgpack if decoded else kinds.msgpack_raw
    made = nuclio_sdk.Event.deserialize(msgpack.unpackb(packed, raw=not decoded), kind=kind)
    found = strict(sent(nuclio.handler(ready, made))["body"])
    assert np.array_equal(pixels(found), SQUARE)
    assert "shapes" in found


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_request"),
        (b"{", 400, "invalid_request"),
        ([1, 2], 400, "invalid_request"),
        ({"pos_points": [[1, 2]]}, 400, "invalid_request"),
        ({"image": "AAAA", "pos_points": [[float("nan"), 2]]}, 400, "invalid_request"),
        ({"image": "AAAA", "pos_points": [[1, 2]]}, 400, "invalid_image"),
        (payload(KINDS["jpeg"]()[:500], pos_points=[INSIDE]), 400, "invalid_image"),
        (payload(KINDS["video frame"](), pos_points=[INSIDE] * 201), 400, "invalid_request"),
    ],
)
def test_what_cannot_be_answered_is_a_sentence_and_a_line_in_the_log(
    ready: nuclio_sdk.Context, log: Log, body: object, status: int, code: str
) -> None:
    found, error = refusal(ready, body)
    assert (found, error["code"]) == (status, code)
    assert "Traceback" not in error["message"]
    (record,) = log.records("warning")
    assert record["message"] == error["message"]
    assert record["with"]["request_id"] == error["request_id"]
    assert overlap(pixels(answer(ready, payload(KINDS["jpeg"](), pos_points=[INSIDE])))) > 0.9


def test_too_many_pixels_are_refused_from_the_header(
    context: nuclio_sdk.Context, make_service: Callable[..., Service], source: GrowingSource
) -> None:
    service = make_service(max_pixels=WIDTH * HEIGHT - 1)
    context.user_data.maskloop = nuclio.Function(service, service.settings)
    status, error = refusal(context, payload(KINDS["jpeg"](), pos_points=[INSIDE]))
    assert (status, error["code"]) == (413, "image_too_large")
    assert source.segmenter.prepared == 0


def test_a_defect_of_a_segmenter_is_a_500_without_details(
    ready: nuclio_sdk.Context, log: Log, source: GrowingSource
) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError("secret inside")

    source.segmenter.before_pass = fail
    status, error = refusal(ready, payload(KINDS["jpeg"](), pos_points=[INSIDE]))
    assert (status, error["code"]) == (500, "internal")
    assert "secret" not in json.dumps(error)
    (record,) = log.records("warning")
    assert record["with"]["request_id"] == error["request_id"]


def test_a_function_that_was_never_started_answers_and_logs_where_it_failed(
    context: nuclio_sdk.Context, log: Log
) -> None:
    status, error = refusal(context, payload(KINDS["jpeg"]()))
    assert (status, error["code"]) == (500, "internal")
    (record,) = log.records("error")
    assert record["with"]["request_id"] == error["request_id"]
    assert "Traceback" in record["with"]["traceback"]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setenv("MASKLOOP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MASKLOOP_DEVICE", "cpu")
    monkeypatch.delenv("REDIS_URL", raising=False)
    yield monkeypatch


def test_it_starts_without_weights_and_says_what_to_type(
    environment: pytest.MonkeyPatch, context: nuclio_sdk.Context, log: Log
) -> None:
    nuclio.init_context(context)
    try:
        (record,) = log.records("error")
        assert "weights pull mobilesam" in record["with"]["problems"][0]
        status, error = refusal(context, payload(KINDS["jpeg"](), pos_points=[INSIDE]))
        assert (status, error["code"]) == (503, "weights_missing")
        assert "weights pull mobilesam" in error["message"]
    finally:
        context.platform._termination_callback()


def test_contradictory_settings_end_the_deployment_with_a_reason(
    environment: pytest.MonkeyPatch, context: nuclio_sdk.Context, log: Log
) -> None:
    environment.setenv("MASKLOOP_MODEL", "mobilesan")
    with pytest.raises(InvalidSettings):
        nuclio.init_context(context)
    (record,) = log.records("error")
    assert "mobilesan" in record["message"]


def test_the_model_is_loaded_before_the_first_click(
    environment: pytest.MonkeyPatch,
    context: nuclio_sdk.Context,
    log: Log,
    source: GrowingSource,
) -> None:
    environment.setattr(nuclio, "build", lambda settings: build(settings, source=source))
    nuclio.init_context(context)
    assert source.loads == 1
    (record,) = log.records("info")
    assert record["with"]["model"] == source.segmenter.version
    found = answer(context, payload(KINDS["video frame"](), pos_points=[INSIDE]))
    assert np.array_equal(pixels(found), SQUARE)
    assert source.loads == 1
    context.platform._termination_callback()


def test_the_default_model_finds_the_object_in_the_readmes_picture(
    monkeypatch: pytest.MonkeyPatch, context: nuclio_sdk.Context, tmp_path: Path
) -> None:
    try:
        weights.installed(load(), "mobilesam")
    except WeightsMissing as error:
        pytest.skip(error.message)
    monkeypatch.setenv("MASKLOOP_DATABASE_URL", f"sqlite:///{tmp_path / 'log.db'}")
    _, truth = scene.draw()
    height, width = truth.shape
    image = (Path(__file__).parents[4] / "docs" / "example.jpg").read_bytes()
    x, y, radius = scene.ORANGE
    box = [[x - radius, y - radius], [x + radius, y + radius]]
    nuclio.init_context(context)
    try:
        for prompt in ({"pos_points": [[x, y]]}, {"obj_bbox": box}):
            (shape,) = answer(context, payload(image, **prompt), NEW)["shapes"]
            mask = decode_mask(shape["points"], image_width=width, image_height=height)
            assert overlap(mask, truth) > 0.95
    finally:
        context.platform._termination_callback()
