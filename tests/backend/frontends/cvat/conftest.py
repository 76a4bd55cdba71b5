"""The real service over a segmenter that grows regions, and CVAT's payloads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest

from backend import http_errors
from backend.frontends import access, cvat
from backend.service import Service, build
from backend.settings import Settings
from tests.backend.growing import GrowingSource


@pytest.fixture
def source() -> GrowingSource:
    return GrowingSource()


@pytest.fixture
def make_service(
    make_settings: Callable[..., Settings], source: GrowingSource
) -> Iterator[Callable[..., Service]]:
    running: list[Service] = []

    def make(**values: Any) -> Service:
        service = build(make_settings(**values), source=source)
        service.start()
        running.append(service)
        return service

    yield make
    for service in running:
        service.close()


def application(service: Service) -> flask.Flask:
    """CVAT's routes with the checks and errors of the whole application around them."""
    app = flask.Flask("test")
    http_errors.register(app)
    access.register(app, service.settings)
    app.register_blueprint(cvat.blueprint(service, service.settings))
    return app
