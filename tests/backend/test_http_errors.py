"""Every error has its one form and its one status."""

from __future__ import annotations

import logging

import flask
import pytest

from backend import errors, http_errors


def app() -> flask.Flask:
    made = flask.Flask("test")
    http_errors.register(made)

    @made.post("/raise/<code>")
    def fail(code: str) -> str:
        raise errors.from_code(code, f"a sentence about {code}", "clicks")

    @made.get("/crash")
    def crash() -> str:
        raise RuntimeError("secret detail")

    return made


def subclasses(kind: type[errors.MaskloopError]) -> set[type[errors.MaskloopError]]:
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


def test_the_table_has_every_error_and_no_other() -> None:
    codes = {kind.code for kind in subclasses(errors.MaskloopError)}
    assert codes == set(errors.HTTP_STATUS)


@pytest.mark.parametrize(("code", "status"), errors.HTTP_STATUS.items())
def test_an_error_is_answered_by_the_table(code: str, status: int) -> None:
    response = app().test_client().post(f"/raise/{code}")
    assert response.status_code == status
    assert response.json is not None
    error = response.json["error"]
    assert (error["code"], error["field"]) == (code, "clicks")
    assert error["message"] == f"a sentence about {code}"
    assert len(error["request_id"]) == 32


def test_a_crash_is_answered_without_details_and_logged_with_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    response = app().test_client().get("/crash")
    assert response.status_code == 500
    assert response.json is not None
    error = response.json["error"]
    assert error["code"] == "internal"
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    assert "secret detail" in caplog.text
    assert error["request_id"] in caplog.text


def test_what_callers_do_wrong_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    app().test_client().post("/raise/invalid_image")
    assert "invalid_image: a sentence about invalid_image" in caplog.text


def test_an_unknown_address_is_named() -> None:
    response = app().test_client().get("/nowhere")
    assert response.status_code == 404
    assert response.json is not None
    assert response.json["error"]["code"] == "not_found"
    assert "/nowhere" in response.json["error"]["message"]


def test_a_wrong_method_is_named() -> None:
    response = app().test_client().delete("/crash")
    assert response.status_code == 405
    assert response.json is not None
    assert response.json["error"]["code"] == "method_not_allowed"
    assert "DELETE" in response.json["error"]["message"]
