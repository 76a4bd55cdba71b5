"""The calls of nuclio's dashboard, and the call of the default model."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from backend.errors import WeightsMissing
from backend.frontends.cvat import functions
from backend.service import Service, build
from backend.settings import Settings
from tests.backend.frontends.cvat.conftest import application
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

MODELS = ("ritm-hrnet18s", "ritm-hrnet18@coco-lvis")
LISTING = {
    "User-Agent": OLD,
    "x-nuclio-project-name": "cvat",
    "x-nuclio-function-namespace": "nuclio",
    "x-nuclio-invoke-via": "domain-name",
}
CALL = LISTING | {"x-nuclio-path": "/", "X-Nuclio-Invoke-Timeout": "120s"}


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    return make_service(models=MODELS)


@pytest.fixture
def client(service: Service) -> FlaskClient:
    return application(service).test_client()


def listed(client: FlaskClient, **options: Any) -> dict[str, Any]:
    response = client.get("/api/functions", headers=LISTING, **options)
    assert response.status_code == 200
    found = response.get_json()
    assert isinstance(found, dict)
    return found


def test_every_offered_model_is_a_function_the_default_one_first(client: FlaskClient) -> None:
    found = listed(client)
    names = ["mobilesam", *MODELS]
    assert list(found) == [functions.function_id(name) for name in names]
    for key, value in found.items():
        assert value["metadata"]["name"] == key
        assert value["metadata"]["annotations"]["type"] == "interactor"
        assert all(isinstance(text, str) for text in value["metadata"]["annotations"].values())
        assert value["spec"]["description"]
        assert value["status"]["state"] == "ready"


def test_one_function_is_what_the_list_says(client: FlaskClient) -> None:
    for key, value in listed(client).items():
        response = client.get(f"/api/functions/{key}", headers=LISTING)
        assert response.get_json() == value


@pytest.mark.parametrize(
    ("address", "port"),
    [
        ("http://host.docker.internal:9090", 9090),
        ("http://maskloop:8080", 8080),
        ("http://maskloop", 80),
        ("https://maskloop.example", 443),
        ("http://[::1]:9191", 9191),
    ],
)
def test_the_port_is_the_one_that_the_caller_used(
    client: FlaskClient, address: str, port: int
) -> None:
    found = listed(client, base_url=address)
    assert {value["status"]["httpPort"] for value in found.values()} == {port}


@pytest.mark.parametrize("name", ["nothing", "mobilesam", "pth-facebookresearch-sam-vit-h"])
def test_an_unknown_function_is_a_404(client: FlaskClient, name: str) -> None:
    response = client.get(f"/api/functions/{name}", headers=LISTING)
    assert response.status_code == 404
    assert "maskloop-mobilesam" in response.get_json()["error"]["message"]
    response = client.post(
        "/api/function_invocations", headers=CALL | {"x-nuclio-function-name": name}, json={}
    )
    assert response.status_code == 404


def test_an_invocation_names_its_function(client: FlaskClient) -> None:
    response = client.post("/api/function_invocations", headers=CALL, json={})
    assert response.status_code == 400
    assert response.get_json()["error"]["field"].lower() == "x-nuclio-function-name"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_is_segmented(client: FlaskClient, kind: str) -> None:
    body = payload(KINDS[kind](), pos_points=[INSIDE])
    response = client.post("/", headers={"User-Agent": NEW}, json=body)
    assert response.mimetype == "application/json"
    assert overlap(pixels(strict(response.data))) > 0.9


@pytest.mark.parametrize("agent", [OLD, BETWEEN, NEW, ""])
def test_both_invoke_methods_give_every_version_the_same_pixels(
    client: FlaskClient, agent: str
) -> None:
    body = payload(KINDS["video frame"](), pos_points=[INSIDE])
    direct = client.post("/", headers={"User-Agent": agent}, json=body)
    headers = CALL | {"User-Agent": agent, "x-nuclio-function-name": "maskloop-ritm-hrnet18s"}
    named = client.post("/api/function_invocations", headers=headers, json=body)
    assert np.array_equal(pixels(strict(direct.data)), SQUARE)
    assert direct.data == named.data


def test_a_caller_without_a_version_has_the_one_of_the_settings(
    make_service: Callable[..., Service],
) -> None:
    service = make_service(cvat_version="2.2")
    client = application(service).test_client()
    body = payload(KINDS["video frame"](), pos_points=[INSIDE])
    assert isinstance(client.post("/", json=body).get_json(), list)
    assert "mask" in client.post("/", headers={"User-Agent": OLD}, json=body).get_json()


def test_the_function_that_is_called_decides_the_model(
    client: FlaskClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []
    segment = service.segment
    monkeypatch.setattr(service, "segment", lambda r: asked.append(r.model) or segment(r))
    body = payload(KINDS["jpeg"](), pos_points=[INSIDE])
    client.post("/", json=body)
    for name in listed(client):
        headers = CALL | {"x-nuclio-function-name": name}
        assert (
            client.post("/api/function_invocations", headers=headers, json=body).status_code == 200
        )
    assert asked == [None, "mobilesam", *MODELS]


def test_a_prompt_without_sense_is_an_empty_mask_and_no_error(client: FlaskClient) -> None:
    body = payload(KINDS["rgba"](), neg_points=[OUTSIDE])
    response = client.post("/", headers={"User-Agent": OLD}, json=body)
    assert response.status_code == 200
    zeros = np.zeros((HEIGHT, WIDTH), int).tolist()
    assert strict(response.data) == {"mask": zeros, "points": []}


def test_a_box_alone_is_enough(client: FlaskClient) -> None:
    body = payload(KINDS["video frame"](), obj_bbox=BOX)
    found = client.post("/", headers={"User-Agent": OLD}, json=body).get_json()
    assert np.array_equal(pixels(found), SQUARE)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"not json", 400),
        (b"[]", 400),
        (gzip.compress(b"{}"), 400),
        (b'{"image": "AAAA", "pos_points": [[NaN, 1]]}', 400),
        (b'{"image": "AAAA", "pos_points": [[1, 1]]}', 400),
    ],
)
def test_a_fault_is_a_sentence_in_the_answer_and_in_the_log(
    client: FlaskClient, caplog: pytest.LogCaptureFixture, body: bytes, status: int
) -> None:
    response = client.post("/", data=body, content_type="application/json")
    assert response.status_code == status
    error = response.get_json()["error"]
    assert error["message"] in caplog.text
    assert error["request_id"] in caplog.text


def test_a_body_over_the_limit_is_a_413(make_service: Callable[..., Service]) -> None:
    service = make_service(max_body_bytes=1000)
    client = application(service).test_client()
    assert client.post("/", json=payload(bytes(2000))).status_code == 413


def test_missing_weights_are_told_by_the_list_and_by_the_click(
    make_service: Callable[..., Service], source: GrowingSource
) -> None:
    sentence = "the weights are missing; type: python -m backend weights pull mobilesam"
    source.fault = WeightsMissing(sentence)
    service = make_service()
    client = application(service).test_client()
    (function,) = listed(client).values()
    assert function["status"]["state"] == "error"
    assert sentence in function["spec"]["description"]
    response = client.post("/", json=payload(KINDS["jpeg"](), pos_points=[INSIDE]))
    assert response.status_code == 503
    assert sentence in response.get_json()["error"]["message"]


def test_the_list_is_there_while_the_model_loads(make_settings: Callable[..., Settings]) -> None:
    class Slow(GrowingSource):
        loading = threading.Event()
        finish = threading.Event()

        def load(self, model: str) -> Any:
            self.loading.set()
            assert self.finish.wait(30)
            return super().load(model)

    source = Slow()
    service = build(make_settings(), source=source)
    service.start()
    try:
        assert source.loading.wait(30)
        client = application(service).test_client()
        (function,) = listed(client).values()
        assert function["status"]["state"] == "ready"
    finally:
        source.finish.set()
        service.close()
