"""Who gets in, from where, with which key."""

from __future__ import annotations

import base64
import io
import json
import logging

import flask
import pytest
from werkzeug.test import TestResponse

from backend import http_errors
from backend.frontends import access
from backend.settings import Settings

KEY = "corréct horse"
OTHER_MACHINE = "192.0.2.7"
WITHOUT_CREDENTIALS = [
    ("POST", "/"),
    ("GET", "/api/functions"),
    ("GET", "/api/functions/maskloop-mobilesam"),
    ("POST", "/api/function_invocations"),
    ("POST", "/webhook"),
]
HEALTH = [("GET", "/"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/health")]
GUARDED = [
    ("POST", "/api/v1/segment"),
    ("GET", "/api/v1/models"),
    ("POST", "/predict"),
    ("GET", "/webhook"),
    ("POST", "/api/functions"),
    ("DELETE", "/api/functions/maskloop-mobilesam"),
    ("POST", "/healthz"),
]


def app(**values: object) -> flask.Flask:
    made = flask.Flask("test")
    http_errors.register(made)
    access.register(made, Settings(**values))  # type: ignore[arg-type]

    @made.route("/", defaults={"path": ""}, methods=["GET", "POST", "DELETE"])
    @made.route("/<path:path>", methods=["GET", "POST", "DELETE"])
    def echo(path: str) -> dict[str, int]:
        return {"received": len(flask.request.get_data())}

    return made


def call(
    made: flask.Flask, method: str, path: str, peer: str | None = "127.0.0.1", **headers: str
) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return made.test_client().open(
        path, method=method, headers=named, environ_overrides={"REMOTE_ADDR": peer}
    )


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize(("method", "path"), WITHOUT_CREDENTIALS + HEALTH + GUARDED)
def test_this_machine_is_free_without_a_key(method: str, path: str, peer: str) -> None:
    assert call(app(), method, path, peer).status_code == 200


@pytest.mark.parametrize("peer", [OTHER_MACHINE, "172.17.0.2", "2001:db8::1", "", None, "x"])
@pytest.mark.parametrize(("method", "path"), WITHOUT_CREDENTIALS + GUARDED)
def test_other_machines_are_refused_without_a_key(method: str, path: str, peer: str | None) -> None:
    response = call(app(), method, path, peer)
    assert response.status_code == 403
    assert response.json is not None
    assert response.json["error"]["code"] == "forbidden"
    assert "MASKLOOP_API_KEY" in response.json["error"]["message"]
    assert "--no-auth" in response.json["error"]["message"]


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_a_proxy_on_this_machine_speaks_for_others(header: str) -> None:
    response = call(app(), "POST", "/predict", **{header: "192.0.2.7"})
    assert response.status_code == 403


@pytest.mark.parametrize(("method", "path"), WITHOUT_CREDENTIALS + GUARDED)
def test_no_auth_opens_everything(method: str, path: str) -> None:
    assert call(app(no_auth=True), method, path, OTHER_MACHINE).status_code == 200


@pytest.mark.parametrize("values", [{}, {"api_key": KEY}, {"no_auth": True}])
@pytest.mark.parametrize(("method", "path"), HEALTH)
def test_health_is_told_to_anybody(method: str, path: str, values: dict[str, object]) -> None:
    assert call(app(**values), method, path, OTHER_MACHINE).status_code == 200
    assert call(app(**values), "HEAD", path, OTHER_MACHINE).status_code == 200


@pytest.mark.parametrize(("method", "path"), WITHOUT_CREDENTIALS)
def test_who_sends_no_credentials_needs_none(method: str, path: str) -> None:
    assert call(app(api_key=KEY), method, path, OTHER_MACHINE).status_code == 200


@pytest.mark.parametrize("no_auth", [False, True])
@pytest.mark.parametrize("peer", ["127.0.0.1", OTHER_MACHINE])
@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_a_key_is_asked_of_everybody_else(method: str, path: str, peer: str, no_auth: bool) -> None:
    made = app(api_key=KEY, no_auth=no_auth)
    response = call(made, method, path, peer)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Basic")
    assert response.json is not None
    assert response.json["error"]["code"] == "unauthorized"
    assert "Authorization: Bearer KEY" in response.json["error"]["message"]


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": f"Bearer {KEY}"}, {"X-API-Key": KEY}, {"Authorization": basic(KEY)}],
)
def test_the_key_is_taken_in_three_places(headers: dict[str, str]) -> None:
    made = app(api_key=KEY)
    assert call(made, "POST", "/predict", OTHER_MACHINE, **headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {KEY}x"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Token {KEY}"},
        {"Authorization": basic("wrong")},
        {"Authorization": basic("")},
        {"Authorization": "Basic !!!"},
        {"X-API-Key": ""},
        {"X-API-Key": "wrong"},
    ],
)
def test_a_wrong_key_is_refused(headers: dict[str, str]) -> None:
    made = app(api_key=KEY)
    response = call(made, "POST", "/predict", **headers)
    assert response.status_code == 401
    assert KEY not in response.text


@pytest.mark.parametrize(
    ("values", "headers", "expected"),
    [
        ({}, {}, True),
        ({"no_auth": True}, {}, True),
        ({"api_key": KEY}, {}, False),
        ({"api_key": KEY}, {"X-API-Key": "wrong"}, False),
        ({"api_key": KEY}, {"Authorization": basic(KEY)}, True),
    ],
)
def test_who_shows_the_key_is_told_from_who_does_not(
    values: dict[str, object], headers: dict[str, str], expected: bool
) -> None:
    settings = Settings(**values)  # type: ignore[arg-type]
    with flask.Flask("test").test_request_context("/webhook", method="POST", headers=headers):
        assert access.verified(flask.request, settings) is expected


def test_pages_of_other_sites_are_refused() -> None:
    response = call(app(), "POST", "/webhook", **{"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 403
    response = call(app(), "POST", "/webhook", **{"Sec-Fetch-Site": "same-origin"})
    assert response.status_code == 200


def test_a_large_body_is_refused_by_its_announced_length() -> None:
    made = app(max_body_bytes=1000)
    client = made.test_client()
    assert client.post("/predict", data=b"x" * 1000).json == {"received": 1000}
    response = client.post("/predict", data=b"x" * 1001)
    assert response.status_code == 413
    assert response.json is not None
    assert response.json["error"]["code"] == "body_too_large"
    assert "1000 bytes" in response.json["error"]["message"]


class Unknown(io.RawIOBase):
    """A body whose length nobody can tell before it ends."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        taken = self.left if size < 0 else min(size, self.left)
        self.left -= taken
        return b"x" * taken


@pytest.mark.parametrize("size", [0, 1, 1000, 1001, 200_000])
def test_a_body_without_an_announced_length_is_counted(size: int) -> None:
    response = (
        app(max_body_bytes=1000)
        .test_client()
        .open(
            "/predict",
            method="POST",
            headers={"Transfer-Encoding": "chunked"},
            environ_overrides={"wsgi.input": Unknown(size), "wsgi.input_terminated": True},
        )
    )
    assert response.json is not None
    if size <= 1000:
        assert response.json == {"received": size}
    else:
        assert response.status_code == 413
        assert response.json["error"]["code"] == "body_too_large"


def test_who_may_not_call_may_not_send_either() -> None:
    made = app(api_key=KEY, max_body_bytes=1000)
    assert made.test_client().post("/predict", data=b"x" * 5000).status_code == 401


def test_every_call_is_one_line_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "backend.frontends.access")
    made = app(api_key=KEY)
    caplog.clear()
    response = made.test_client().post(
        "/pre%0Adict?token=secret-in-query",
        data=b"secret-in-body",
        headers={"X-API-Key": KEY, "User-Agent": "CVAT/2.54"},
    )
    (record,) = [r for r in caplog.records if r.name == "backend.frontends.access"]
    line = record.getMessage()
    found = json.loads(line)
    assert found["request_id"] == response.headers["X-Request-Id"]
    assert (found["method"], found["path"], found["status"]) == ("POST", "/pre\ndict", 404)
    assert (found["peer"], found["received"]) == ("127.0.0.1", len(b"secret-in-body"))
    assert found["agent"] == "CVAT/2.54"
    assert found["milliseconds"] >= 0
    assert "\n" not in line
    assert "secret" not in line
    assert KEY not in line


def test_requests_have_ids_of_their_own() -> None:
    client = app().test_client()
    ids = {client.get("/", headers={"X-Request-Id": "mine"}).headers["X-Request-Id"] for _ in "ab"}
    assert len(ids) == 2
    assert "mine" not in ids


@pytest.mark.parametrize("values", [{"api_key": KEY}, {"no_auth": True}])
def test_the_log_says_which_routes_are_open(
    values: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    app(**values)
    assert "POST /, /api/functions, /api/function_invocations and /webhook" in caplog.text


def test_the_log_is_silent_where_nothing_is_open(caplog: pytest.LogCaptureFixture) -> None:
    app()
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("localhost", True),
        ("[::1]", True),
        ("127.1.2.3", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("example.org", False),
        ("", False),
        ("localhost.example.org", False),
    ],
)
def test_what_counts_as_this_machine(address: str, expected: bool) -> None:
    assert access.is_loopback(address) is expected
