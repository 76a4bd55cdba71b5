"""The REST interface on a real service, with a segmenter that really segments."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import flask
import pytest
from flask.testing import FlaskClient

from backend import http_errors
from backend.frontends import access, rest
from backend.service import build
from backend.settings import Settings
from tests.backend.growing import GrowingSource

MakeClient = Callable[..., FlaskClient]


@pytest.fixture
def source() -> GrowingSource:
    return GrowingSource()


@pytest.fixture
def make_client(
    make_settings: Callable[..., Settings], source: GrowingSource
) -> Iterator[MakeClient]:
    services = []

    def make(**values: object) -> FlaskClient:
        settings = make_settings(**values)
        service = build(settings, source)
        services.append(service)
        app = flask.Flask("test")
        http_errors.register(app)
        access.register(app, settings)
        app.register_blueprint(rest.blueprint(service, settings))
        return app.test_client()

    yield make
    for service in services:
        service.close()


@pytest.fixture
def client(make_client: MakeClient) -> FlaskClient:
    return make_client()
