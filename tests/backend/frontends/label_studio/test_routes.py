from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from typing import Any

import flask
import pytest
import sqlalchemy
from werkzeug.test import TestResponse

from backend import http_errors
from backend.errors import InvalidSettings, WeightsMissing
from backend.frontends import access, label_studio
from backend.settings import Settings
from backend.store import Database
from tests.backend.conftest import Serve, Served, encoded, scene
from tests.backend.frontends.label_studio.recorded import click, interactive, setup
from tests.backend.frontends.label_studio.stand_in import LEGACY, PERSONAL, StandIn
from tests.backend.growing import GrowingSource

CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="tag" toName="image"><Label value="Cat"/></BrushLabels>
<KeyPointLabels name="kp" toName="image"><Label value="Cat"/></KeyPointLabels></View>"""
PICTURE = encoded(scene())
INLINE = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
VERSION = "mobilesam@growing:0123456789ab"
TASK = {"id": 7, "data": {"image": INLINE}, "project": 1}


class Client:
    """Label Studio's side: the user agent of its ML calls, JSON bodies, no credentials."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.settings = served.settings
        self.app = flask.Flask("test")
        http_errors.register(self.app)
        access.register(self.app, served.settings)
        self.app.register_blueprint(label_studio.blueprint(served.service, served.settings))

    def call(
        self, method: str, path: str, body: object = None, peer: str = "127.0.0.1", **options: Any
    ) -> TestResponse:
        if body is not None:
            options["json"] = body
        return self.app.test_client().open(
            path, method=method, environ_overrides={"REMOTE_ADDR": peer}, **options
        )

    def post(self, path: str, body: object, **options: Any) -> TestResponse:
        return self.call("POST", path, body, **options)

    def events(self) -> list[Any]:
        with Database(self.settings.database).begin() as connection:
            query = sqlalchemy.text("SELECT source, action, body, verified FROM events ORDER BY id")
            return [tuple(row) for row in connection.execute(query)]


Connect = Callable[..., Client]


@pytest.fixture
def connect(serve_inline: Serve) -> Connect:
    return lambda **values: Client(serve_inline(**values))


@pytest.fixture
def client(connect: Connect) -> Client:
    return connect()


def test_health_setup_and_versions_answer_before_any_model_is_loaded(client: Client) -> None:
    assert client.call("GET", "/health").json == {
        "status": "UP",
        "model_class": "MaskloopBackend",
    }
    assert client.post("/setup", setup(CONFIG)).json == {"model_version": VERSION}
    for method in ("GET", "POST"):
        response = client.call(
            method, "/versions", {"project": "1.1"} if method == "POST" else None
        )
        assert response.json == {"versions": [VERSION]}
    assert client.served.source.loads == 0


def test_a_version_that_is_not_known_yet_goes_by_its_models_name(connect: Connect) -> None:
    source = GrowingSource(fault=WeightsMissing("no weights: type this"))
    client = connect(source=source)
    assert client.post("/setup", setup(CONFIG)).json == {"model_version": "mobilesam"}
    assert client.call("GET", "/versions").json == {"versions": ["mobilesam"]}


def test_a_click_is_answered_with_one_object(client: Client) -> None:
    response = client.post("/predict", interactive(TASK, CONFIG, click("a", 50, 50)))
    assert response.status_code == 200
    assert response.json is not None
    (prediction,) = response.json["results"]
    assert prediction["result"][0]["type"] == "brushlabels"


def test_predict_needs_no_setup_before_and_no_reset_by_a_repeated_one(client: Client) -> None:
    body = interactive(TASK, CONFIG, click("a", 50, 50))
    first = client.post("/predict", body).json
    client.post("/setup", setup(CONFIG))
    assert client.post("/predict", body).json == first
    assert client.served.source.loads == 1


def test_an_opened_task_has_an_entry_and_no_prediction(client: Client) -> None:
    body = interactive(TASK, CONFIG)
    body["params"]["context"] = None
    body["tasks"] = [TASK, {**TASK, "id": 8}]
    response = client.post("/predict", body)
    assert (response.status_code, response.json) == (200, {"results": [[], []]})
    assert client.served.source.loads == 0


def test_nothing_left_is_an_empty_result(client: Client) -> None:
    response = client.post("/predict", interactive(TASK, CONFIG))
    assert (response.status_code, response.json) == (200, {"results": [{"result": []}]})


def test_a_picture_on_label_studio_is_fetched_with_the_configured_token(
    connect: Connect, label_studio: StandIn
) -> None:
    label_studio.files["/data/upload/1/a.png"] = PICTURE
    client = connect(label_studio_url=label_studio.url, label_studio_api_key=PERSONAL)
    task = {**TASK, "data": {"image": "/data/upload/1/a.png"}}
    for clicks in ([click("a", 50, 50)], [click("a", 50, 50), click("b", 60, 60)]):
        assert client.post("/predict", interactive(task, CONFIG, *clicks)).status_code == 200
    assert label_studio.paths == ["POST /api/token/refresh", "GET /data/upload/1/a.png"]


@pytest.mark.parametrize("peer", ["127.0.0.1", "192.0.2.7"])
def test_an_unconfigured_label_studio_is_asked_only_on_this_machine(
    connect: Connect, label_studio: StandIn, peer: str
) -> None:
    label_studio.files["/data/upload/1/a.png"] = PICTURE
    client = connect(no_auth=True)
    told = setup(CONFIG, hostname=label_studio.url, access_token=LEGACY)
    assert client.post("/setup", told, peer=peer).status_code == 200
    task = {**TASK, "data": {"image": "/data/upload/1/a.png"}}
    response = client.post("/predict", interactive(task, CONFIG, click("a", 50, 50)))
    assert response.status_code == (200 if peer == "127.0.0.1" else 424)
    assert bool(label_studio.asked) is (peer == "127.0.0.1")


def test_a_connection_chooses_its_model(connect: Connect) -> None:
    client = connect(models=("ritm-hrnet18s",))
    chosen = setup(CONFIG, extra_params={"model": "ritm-hrnet18s"})
    assert client.post("/setup", chosen).status_code == 200
    seen: list[str | None] = []
    answer = client.served.service.segment

    def segment(request: Any) -> Any:
        seen.append(request.model)
        return answer(request)

    client.served.service.segment = segment  # type: ignore[method-assign]
    for project in ("1.1795175605", "2.1"):
        client.post("/predict", interactive(TASK, CONFIG, click("a", 5, 5), project=project))
    assert seen == ["ritm-hrnet18s", None]
    client.post("/duplicate_model", {"project_src": "1.1795175605", "project_dst": "2.1"})
    client.post("/delete", {"project": "1.1795175605"})
    for project in ("1.1795175605", "2.1"):
        client.post("/predict", interactive(TASK, CONFIG, click("a", 5, 5), project=project))
    assert seen[2:] == [None, "ritm-hrnet18s"]


@pytest.mark.parametrize(
    ("extra_params", "status", "said"),
    [
        ({"model": "sam3"}, 404, "MASKLOOP_MODELS"),
        ("{", 400, "extra_params is not JSON"),
        ({"modle": "x"}, 400, "no other keys"),
    ],
)
def test_a_connection_that_names_nonsense_is_refused_in_the_settings_already(
    client: Client, extra_params: object, status: int, said: str
) -> None:
    response = client.post("/setup", setup(CONFIG, extra_params=extra_params))
    assert response.status_code == status
    assert response.json is not None
    assert said in response.json["error"]["message"]


def test_a_configuration_that_cannot_work_is_logged_once(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        client.post("/setup", setup("<View/>", project="31.1"))
    found = [record.message for record in caplog.records if "31.1" in record.message]
    assert len(found) == 1
    assert "no <Image>" in found[0]


def test_a_click_that_fails_is_logged_since_the_editor_shows_nothing(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    task = {**TASK, "data": {"image": "/data/upload/1/a.png"}}
    response = client.post("/predict", interactive(task, CONFIG, click("a", 50, 50)))
    assert response.status_code == 424
    warned = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert any("task 7: no mask for the click" in line for line in warned)
    assert any("LABEL_STUDIO_URL" in line for line in warned)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tasks": None}, "tasks"),
        ({"tasks": [], "params": {"context": {"result": [1]}}}, "tasks"),
        ({"tasks": [TASK], "params": {"context": []}}, "label_config"),
        ({"tasks": [TASK], "params": {"context": []}, "label_config": CONFIG}, "context"),
        (
            {"tasks": [TASK], "params": {"context": {"result": [1]}}, "label_config": 7},
            "label_config",
        ),
    ],
)
def test_a_faulty_prediction_request_is_a_400_with_its_field(
    client: Client, body: object, field: str
) -> None:
    response = client.post("/predict", body)
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["error"]["field"] == field


NESTED = "[" * 100_000


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"\xff\xfe", NESTED.encode()])
@pytest.mark.parametrize(
    "path", ["/predict", "/setup", "/webhook", "/train", "/validate", "/delete", "/job_status"]
)
def test_a_body_that_is_no_json_object_is_a_400(client: Client, path: str, body: bytes) -> None:
    response = client.call("POST", path, data=body, content_type="application/json")
    assert response.status_code == 400


EVENT = {
    "action": "ANNOTATION_CREATED",
    "annotation": {
        "id": 3,
        "result": [{"id": "x", "type": "keypointlabels", "value": {"rle": []}}],
    },
    "task": {"id": 7},
    "project": {"id": 1},
}


def test_an_event_is_stored_as_it_came_and_once(client: Client) -> None:
    text = json.dumps(EVENT, indent=1)
    for _ in range(2):
        response = client.call("POST", "/webhook", data=text, content_type="application/json")
        assert (response.status_code, response.json) == (201, {"status": "stored"})
    assert client.events() == [("label-studio", "ANNOTATION_CREATED", text, 1)]


@pytest.mark.parametrize(
    "event",
    [
        {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 1}]},
        {"action": "SOMETHING_NEW", "annotation": None},
        {"action": "ANNOTATION_UPDATED", "annotation": "\ud800 \u0000", "project": [1]},
    ],
)
def test_untidy_events_are_stored_too(client: Client, event: dict[str, Any]) -> None:
    assert client.post("/webhook", event).status_code == 201
    (stored,) = client.events()
    assert json.loads(stored[2]) == event


@pytest.mark.parametrize("action", [None, "", 7, ["x"], "a" * 65, "nul\u0000"])
def test_an_event_without_a_name_is_refused(client: Client, action: object) -> None:
    assert client.post("/webhook", {"action": action}).status_code == 400


def test_each_press_of_start_training_is_an_event(client: Client) -> None:
    for _ in range(2):
        body = {"action": "START_TRAINING", "project": {"id": 1}}
        assert client.post("/webhook", body).status_code == 201
    assert client.post("/train", {"project": "1.1", "annotations": []}).status_code == 201
    assert [event[1] for event in client.events()] == ["START_TRAINING"] * 3


def test_an_event_without_the_key_is_stored_as_unverified(connect: Connect) -> None:
    client = connect(api_key="horse")
    assert client.post("/webhook", EVENT, peer="192.0.2.7").status_code == 201
    credentials = {"Authorization": "Basic " + base64.b64encode(b"any:horse").decode()}
    known = {**EVENT, "action": "ANNOTATION_UPDATED"}
    assert client.post("/webhook", known, headers=credentials).status_code == 201
    assert [event[3] for event in client.events()] == [0, 1]
    assert client.post("/predict", interactive(TASK, CONFIG)).status_code == 401
    assert client.post("/setup", setup(CONFIG)).status_code == 401
    assert client.call("GET", "/health").status_code == 200


def test_label_studio_is_told_at_the_health_check_that_it_has_no_key(connect: Connect) -> None:
    agent = {"User-Agent": "heartex/1.23.2"}
    right = {"Authorization": "Basic " + base64.b64encode(b"any:horse").decode()}
    wrong = {"Authorization": "Basic " + base64.b64encode(b"any:cow").decode()}
    client = connect(api_key="horse")
    statuses = [
        client.call("GET", "/health", headers=headers).status_code
        for headers in ({}, agent, agent | wrong, agent | right)
    ]
    assert statuses == [200, 401, 401, 200]
    assert connect().call("GET", "/health", headers=agent).status_code == 200


def test_an_unverified_event_has_a_size(connect: Connect) -> None:
    client = connect(api_key="horse")
    large = {**EVENT, "padding": "x" * (16 << 20)}
    assert client.post("/webhook", large).status_code == 413
    assert client.events() == []


def test_there_are_no_jobs_to_ask_about(client: Client) -> None:
    assert client.post("/job_status", {"job": "1"}).status_code == 410


def test_a_configuration_can_be_validated(client: Client) -> None:
    assert client.post("/validate", {"config": CONFIG}).json == {"valid": True, "problems": []}
    answer = client.post("/validate", {"config": "<View/>"}).json
    assert answer is not None
    assert answer["valid"] is False


@pytest.mark.parametrize("path", ["/setup", "/delete", "/duplicate_model"])
def test_a_project_must_be_named(client: Client, path: str) -> None:
    projects: list[object] = [None, "", True, []]
    for project in projects:
        body = {"project": project, "project_src": project, "schema": CONFIG}
        assert client.post(path, body).status_code == 400


def test_an_address_of_no_use_is_found_at_the_start(connect: Connect) -> None:
    with pytest.raises(InvalidSettings, match="LABEL_STUDIO_URL is 'label-studio:8080'"):
        connect(label_studio_url="label-studio:8080")


def test_a_token_without_an_address_is_warned_of(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    connect(label_studio_api_key="x" * 40)
    assert "LABEL_STUDIO_URL is not" in caplog.text
    assert "x" * 40 not in caplog.text


def test_settings_show_no_token() -> None:
    assert "secret" not in repr(Settings(label_studio_api_key="secret"))
