"""Our class under label-studio-ml's own server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from flask.testing import FlaskClient
from label_studio_ml import api
from label_studio_ml.model import LabelStudioMLManager

from backend.frontends.label_studio import model, predictions
from backend.frontends.label_studio.model import MaskloopBackend
from backend.settings import Settings
from backend.store import Database
from tests.backend.conftest import Serve, Served
from tests.backend.frontends.label_studio.recorded import click, interactive, setup
from tests.backend.frontends.label_studio.stand_in import LEGACY, StandIn
from tests.backend.frontends.label_studio.test_routes import CONFIG, PICTURE, TASK


@pytest.fixture
def served(serve_inline: Serve, label_studio: StandIn) -> Served:
    return serve_inline(label_studio_url=label_studio.url)


@pytest.fixture
def client(served: Served, tmp_path: Path) -> Iterator[FlaskClient]:
    """Its server keeps everything in module globals, so they are put back afterwards."""
    app = api.init_app(
        MaskloopBackend,
        model_dir=str(tmp_path / "jobs"),
        service=served.service,
        settings=served.settings,
    )
    yield app.test_client()
    LabelStudioMLManager._current_model = {}
    LabelStudioMLManager.model_class = None


def test_its_server_connects_and_predicts(client: FlaskClient, served: Served) -> None:
    assert client.get("/health").json == {
        "model_dir": str(served.settings.data_dir / "jobs"),
        "status": "UP",
        "v2": False,
    }
    assert client.post("/setup", json=setup(CONFIG)).json == {"model_version": "INITIAL"}
    response = client.post("/predict", json=interactive(TASK, CONFIG, click("a", 50, 50)))
    assert response.json is not None
    (prediction,) = response.json["results"]
    assert prediction["result"][0]["type"] == "brushlabels"
    assert prediction["result"][0]["value"]["brushlabels"] == ["Cat"]


def test_the_two_servers_give_the_same_answer(client: FlaskClient, served: Served) -> None:
    from tests.backend.frontends.label_studio.test_routes import Client

    ours = Client(served)
    client.post("/setup", json=setup(CONFIG))
    for items in ([click("a", 50, 50)], [click("a", 50, 50), click("b", 9, 9)], []):
        body = interactive(TASK, CONFIG, *items)
        theirs = client.post("/predict", json=body).json
        mine = ours.post("/predict", body).json
        assert theirs is not None
        assert mine is not None
        assert theirs["results"] == mine["results"]


def test_a_batch_call_has_an_entry_for_each_task(client: FlaskClient) -> None:
    client.post("/setup", json=setup(CONFIG))
    body = interactive(TASK, CONFIG)
    body["params"]["context"] = None
    body["tasks"] = [TASK, TASK]
    assert client.post("/predict", json=body).json["results"] == [[], []]  # type: ignore[index]


def test_a_repeated_setup_loads_nothing_again(
    client: FlaskClient, served: Served, label_studio: StandIn
) -> None:
    label_studio.files["/data/upload/1/a.png"] = PICTURE
    task = {**TASK, "data": {"image": "/data/upload/1/a.png"}}
    for _ in range(2):
        client.post("/setup", json=setup(CONFIG, access_token=LEGACY))
        response = client.post("/predict", json=interactive(task, CONFIG, click("a", 50, 50)))
        assert response.status_code == 200
    assert served.source.loads == 1
    assert len(label_studio.asked) == 1


def test_every_event_that_label_studio_sends_reaches_fit() -> None:
    sent = {
        "ANNOTATION_CREATED",
        "ANNOTATIONS_CREATED",
        "ANNOTATION_UPDATED",
        "ANNOTATIONS_DELETED",
        "PROJECT_UPDATED",
        "START_TRAINING",
    }
    assert sent <= set(MaskloopBackend.TRAIN_EVENTS)


def test_fit_stores_the_event_without_loading_anything(served: Served) -> None:
    settings: Settings = served.settings
    backend = MaskloopBackend(CONFIG, service=served.service, settings=settings)
    data: dict[str, Any] = {"project": {"id": 1}}
    stored = backend.process_event("START_TRAINING", data, "1", {"workdir": "x"})
    assert stored == {"status": "stored"}
    with Database(settings.database).begin() as connection:
        query = sqlalchemy.text("SELECT source, action, verified FROM events")
        rows = [tuple(row) for row in connection.execute(query)]
    assert rows == [(predictions.TOOL, "START_TRAINING", 0)]
    assert served.source.loads == 0


def test_instances_share_one_service_built_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MASKLOOP_DATA_DIR", str(tmp_path))
    try:
        for _ in range(2):
            assert MaskloopBackend(CONFIG).predict([TASK, TASK]) == [[], []]
        assert model._from_environment.cache_info().misses == 1
    finally:
        model._from_environment()[1].close()
        model._from_environment.cache_clear()
