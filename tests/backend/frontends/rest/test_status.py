"""Health, readiness, models, the OpenAPI document, and what there is at the root."""

from __future__ import annotations

import io
import re

import pytest
from flask.testing import FlaskClient
from jsonschema import ValidationError
from openapi_spec_validator import validate

from backend.errors import WeightsMissing
from backend.version import VERSION
from tests.backend.frontends.rest.conftest import MakeClient
from tests.backend.frontends.rest.validator import valid
from tests.backend.growing import GrowingSource

MISSING = WeightsMissing("no weights; type: python -m backend weights pull mobilesam")


def test_health_is_up_whatever_happens(client: FlaskClient, source: GrowingSource) -> None:
    source.fault = MISSING
    response = client.get("/healthz")
    assert (response.status_code, response.json) == (200, {"status": "UP"})
    valid("HealthOutput", response.json)


def test_ready_says_what_to_type(client: FlaskClient, source: GrowingSource) -> None:
    source.fault = MISSING
    response = client.get("/readyz")
    assert response.status_code == 503
    valid("ReadyOutput", response.json)
    assert response.json is not None
    assert response.json["ready"] is False
    assert any("weights pull mobilesam" in problem for problem in response.json["problems"])


def test_ready_once_a_click_was_answered(client: FlaskClient, picture: bytes) -> None:
    answer = client.post("/api/v1/segment", data={"image": (io.BytesIO(picture), "a")})
    assert answer.status_code == 200
    valid("ReadyOutput", client.get("/readyz").json)


def test_missing_weights_are_the_answer_to_a_click(
    client: FlaskClient, source: GrowingSource, picture: bytes
) -> None:
    source.fault = MISSING
    response = client.post(
        "/api/v1/segment", data={"image": (io.BytesIO(picture), "a"), "clicks": "[[1, 1]]"}
    )
    assert response.status_code == 503
    assert response.json is not None
    assert response.json["error"]["code"] == "weights_missing"
    assert "weights pull mobilesam" in response.json["error"]["message"]


def test_models_are_listed_with_the_default_first(make_client: MakeClient) -> None:
    response = make_client(models=("ritm-hrnet18s",)).get("/api/v1/models")
    valid("ModelsOutput", response.json)
    assert response.json is not None
    names = [model["name"] for model in response.json["models"]]
    assert names == ["mobilesam", "ritm-hrnet18s"]
    assert "clicks" in response.json["models"][0]["prompts"]


def test_the_document_is_openapi(client: FlaskClient) -> None:
    served = client.get("/api/v1/openapi.json").json
    assert served is not None
    validate(served)
    assert served["openapi"].startswith("3.1")
    assert served["info"]["version"] == VERSION


def test_the_document_has_every_route(client: FlaskClient) -> None:
    served = client.get("/api/v1/openapi.json").json
    assert served is not None
    described = {
        (path, method.upper()) for path, methods in served["paths"].items() for method in methods
    }
    routes = {
        (rule.rule, method)
        for rule in client.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule not in ("/", "/api/v1/openapi.json") and rule.endpoint.startswith("rest.")
    }
    assert described == routes


def test_the_schemas_refuse_what_is_wrong() -> None:
    with pytest.raises(ValidationError):
        valid("HealthOutput", {"status": "DOWN"})
    with pytest.raises(ValidationError):
        valid("SegmentInput", {"clicks": [["a", 1]]})


def test_the_root_names_addresses_that_exist(client: FlaskClient) -> None:
    body = client.get("/").json
    assert body is not None
    assert (body["name"], body["version"]) == ("maskloop", VERSION)
    own = [
        place for name, place in body["addresses"].items() if name not in ("cvat", "label_studio")
    ]
    routes = {rule.rule for rule in client.application.url_map.iter_rules()}
    assert {re.sub("^(GET|POST) ", "", place) for place in own} <= routes
