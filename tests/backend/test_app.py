"""The whole application: every frontend on one service, importable without torch."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import flask
import numpy as np
import pytest
from pycocotools import mask as pycocotools_mask

from backend.app import create_app
from backend.errors import InvalidSettings
from backend.service import build
from backend.settings import Settings
from tests.backend.growing import GrowingSource

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def app(make_settings: Callable[..., Settings]) -> Iterator[flask.Flask]:
    settings = make_settings()
    service = build(settings, GrowingSource())
    yield create_app(settings, service)
    service.close()


def test_every_frontend_answers(app: flask.Flask, picture: bytes) -> None:
    client = app.test_client()
    assert client.get("/").json is not None
    assert client.get("/healthz").status_code == 200
    assert client.get("/health").status_code == 200
    functions = client.get("/api/functions")
    assert functions.status_code == 200
    assert functions.json
    answer = client.post(
        "/api/v1/segment", data={"image": (io.BytesIO(picture), "a.png"), "clicks": "[[20, 20]]"}
    )
    assert answer.status_code == 200


def test_every_address_at_the_root_exists(app: flask.Flask) -> None:
    client = app.test_client()
    listed = client.get("/").json
    assert listed is not None
    for place in listed["addresses"].values():
        method, path = place.split()
        allowed = client.open(path, method="OPTIONS").headers["Allow"]
        assert method in allowed.split(", ")


def test_a_slash_more_does_no_harm(app: flask.Flask) -> None:
    assert app.test_client().get("/health/").status_code == 200
    assert app.test_client().get("/api/v1/models/").status_code == 200


def test_frontends_give_the_same_mask(app: flask.Flask, picture: bytes) -> None:
    client = app.test_client()
    image = base64.b64encode(picture).decode()
    rest = client.post("/api/v1/segment", json={"image": image, "clicks": [[20, 20], [30, 9]]})
    cvat = client.post(
        "/", json={"image": image, "pos_points": [[20, 20], [30, 9]], "neg_points": []}
    )
    assert rest.json is not None
    assert cvat.json is not None
    mask = pycocotools_mask.decode(rest.json["mask"])
    assert mask.any()
    assert np.array_equal(np.array(cvat.json["mask"]) > 0, mask > 0)


def test_the_service_of_a_model_that_is_none_is_refused(
    make_settings: Callable[..., Settings],
) -> None:
    with pytest.raises(InvalidSettings, match="mobilesan"):
        create_app(make_settings(model="mobilesan"))


def test_a_web_process_before_a_queue_needs_no_torch(tmp_path: Path) -> None:
    script = (
        "import json, sys; from backend.app import create_app; from backend.settings import load;"
        "client = create_app(load()).test_client(); paths = ('/healthz', '/health', '/readyz');"
        "answers = [client.get(path).status_code for path in paths];"
        "print(json.dumps({'torch': 'torch' in sys.modules, 'answers': answers}))"
    )
    environment = {
        "PATH": os.environ["PATH"],
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "MASKLOOP_DATA_DIR": str(tmp_path),
    }
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(ran.stdout)
    assert found["torch"] is False
    assert found["answers"] == [200, 200, 503]


def test_the_wsgi_file_serves_it_all(tmp_path: Path) -> None:
    script = "import _wsgi; print(_wsgi.app.test_client().get('/healthz').json)"
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "MASKLOOP_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "{'status': 'UP'}"
