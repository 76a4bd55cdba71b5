"""A real server and real HTTP: list, look up and call, in the way and order of CVAT's server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import requests
from werkzeug.serving import make_server

from backend.service import Service
from tests.backend.frontends.cvat.conftest import application
from tests.backend.frontends.cvat.payloads import NEW, OLD, payload, pixels
from tests.backend.frontends.cvat.pictures import BOX, INSIDE, KINDS, OUTSIDE, SQUARE


class Gateway:
    """CVAT's side of the wire: the calls that its server makes, with its headers."""

    def __init__(self, port: int, version: str, method: str) -> None:
        self._root = f"http://localhost:{port}"
        self._method = method
        self._session = requests.Session()
        self._session.headers["User-Agent"] = version

    def functions(self) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self._nuclio("get", "/api/functions")
        return list(found.values())

    def call(self, name: str, body: dict[str, Any]) -> Any:
        function = self._nuclio("get", f"/api/functions/{name}")
        assert function["metadata"]["name"] == name
        if self._method == "dashboard":
            headers = {
                "x-nuclio-function-name": name,
                "x-nuclio-path": "/",
                "X-Nuclio-Invoke-Timeout": "120s",
            }
            return self._nuclio("post", "/api/function_invocations", body, headers)
        port = function["status"]["httpPort"]
        reply = self._session.post(f"http://localhost:{port}", timeout=120, json=body)
        reply.raise_for_status()
        return reply.json()

    def _nuclio(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        always = {
            "x-nuclio-project-name": "cvat",
            "x-nuclio-function-namespace": "nuclio",
            "x-nuclio-invoke-via": "domain-name",
        }
        reply = self._session.request(
            method, self._root + path, headers=always | (headers or {}), timeout=120, json=body
        )
        reply.raise_for_status()
        return reply.json()


@pytest.fixture
def port(make_service: Callable[..., Service]) -> Iterator[int]:
    service = make_service(models=("ritm-hrnet18s",))
    server = make_server("localhost", 0, application(service), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("method", ["direct", "dashboard"])
@pytest.mark.parametrize("version", [OLD, NEW])
def test_an_annotator_works_on_an_object(port: int, version: str, method: str) -> None:
    gateway = Gateway(port, version, method)
    (name, _) = (function["metadata"]["name"] for function in gateway.functions())
    image = KINDS["video frame"]()

    first = gateway.call(name, payload(image, pos_points=[INSIDE]))
    assert np.array_equal(pixels(first), SQUARE)
    wider = gateway.call(name, payload(image, pos_points=[INSIDE, OUTSIDE]))
    assert pixels(wider).all()
    again = gateway.call(name, payload(image, pos_points=[INSIDE]))
    assert again == first
    box = gateway.call(name, payload(image, obj_bbox=BOX))
    assert np.array_equal(pixels(box), SQUARE)
    nothing = gateway.call(name, payload(image, neg_points=[OUTSIDE]))
    assert not pixels(nothing).any()


@pytest.mark.parametrize("method", ["direct", "dashboard"])
def test_a_fault_is_a_status_that_requests_raises(port: int, method: str) -> None:
    gateway = Gateway(port, OLD, method)
    with pytest.raises(requests.HTTPError, match="400 Client Error"):
        gateway.call("maskloop-mobilesam", payload(b"no picture", pos_points=[INSIDE]))
    with pytest.raises(requests.HTTPError, match="404 Client Error"):
        gateway.call("gone", payload(KINDS["jpeg"](), pos_points=[INSIDE]))


def test_annotators_on_different_pictures_do_not_disturb_each_other(port: int) -> None:
    kinds = ("video frame", "exif 6", "bmp", "webp", "tiff", "exif 3")

    def work(kind: str) -> list[dict[str, Any]]:
        gateway = Gateway(port, NEW, "dashboard")
        image = KINDS[kind]()
        clicks = [INSIDE, [75.5, 20.5], OUTSIDE, [98.5, 38.5]]
        return [
            gateway.call("maskloop-mobilesam", payload(image, pos_points=clicks[:count]))
            for count in range(1, len(clicks) + 1)
        ]

    with ThreadPoolExecutor(len(kinds)) as pool:
        together = list(pool.map(work, kinds))
    assert together == [work(kind) for kind in kinds]
    assert all(np.array_equal(pixels(found[0]), SQUARE) for found in (together[0], together[2]))
