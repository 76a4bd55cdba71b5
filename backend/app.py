"""The whole application: one service, every frontend on it, one way of answering errors."""

from __future__ import annotations

import atexit

import flask

from backend import http_errors
from backend.frontends import access, cvat, label_studio, rest
from backend.service import Service, build
from backend.settings import Settings, load


def create_app(settings: Settings | None = None, service: Service | None = None) -> flask.Flask:
    """The WSGI application.

    Without `settings` they are read from the environment; without `service` one is built, begins
    to load its models in the background, and is closed with the process. A service that is handed
    in stays the caller's to start and close. Raises InvalidSettings.
    """
    settings = settings or load()
    if service is None:
        service = build(settings)
        service.start()
        atexit.register(service.close)
    app = flask.Flask("maskloop", static_folder=None)
    app.url_map.strict_slashes = False
    http_errors.register(app)
    access.register(app, settings)
    for frontend in (rest, cvat, label_studio):
        app.register_blueprint(frontend.blueprint(service, settings))
    return app
