"""Whatever stands where in a body, the answer is no fault of ours."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from backend.codecs import label_studio as codec
from backend.masks import Mask
from tests.backend.conftest import Serve
from tests.backend.frontends.label_studio.recorded import (
    click,
    draft,
    interactive,
    rectangle,
    setup,
    stroke,
)
from tests.backend.frontends.label_studio.test_routes import CONFIG, TASK, Client

EMPTY = Mask.empty((48, 64))
SHAPES: dict[str, dict[str, Any]] = {
    "brushlabels": {"rle": codec.encode_rle(EMPTY), "brushlabels": ["Cat"]},
    "bitmask": {"imageDataURL": codec.png_data_url(EMPTY), "labels": ["Cat"]},
    "polygon": {"points": [[1, 1], [9, 1], [9, 9]]},
    "brush": {"touches": [stroke([1, 1, 9, 9])]},
    "ellipse": {"x": 50, "y": 50, "radiusX": 10, "radiusY": 10, "rotation": 10},
}
ITEMS = [
    [click("a", 50, 50), {**click("b", 20, 20, positive=False), "item_index": 0}],
    [rectangle("a", 10, 10, 30, 30)],
    *([{**click("a", 0, 0), "type": type_, "value": value}] for type_, value in SHAPES.items()),
]
DRAWING = {**TASK, "drafts": [draft(stroke([10, 10, 20, 20]))]}
BODIES: dict[str, list[Any]] = {
    "/predict": [interactive(DRAWING, CONFIG, *items) for items in ITEMS],
    "/setup": [setup(CONFIG, extra_params={"model": "mobilesam", "scribbles": True})],
    "/webhook": [{"action": "ANNOTATION_CREATED", "annotation": {"id": 1, "result": []}}],
    "/validate": [{"config": CONFIG}],
    "/duplicate_model": [{"project_src": "1.1", "project_dst": "2.2"}],
}

NOTHING = object()
"""Stands for taking the key away."""

VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "x", "\x00", "\ud800", "data:image/png;base64,AAAA", "/data/upload/1/a"])
    | st.sampled_from([[], {}, [None], [[]], {"": None}, ["a", 1], [1, 2], 10**400, NOTHING])
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to everything in a JSON value, not into long lists of numbers."""
    if path:
        yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list) and len(value) < 8:
        for index, item in enumerate(value):
            yield from places(item, (*path, index))


def changed(body: Any, path: tuple[Any, ...], value: object) -> Any:
    body = copy.deepcopy(body)
    inner = body
    for key in path[:-1]:
        inner = inner[key]
    if value is NOTHING:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return body


CASES = [
    (route, number, path)
    for route, bodies in BODIES.items()
    for number, body in enumerate(bodies)
    for path in places(body)
]


@pytest.fixture
def client(serve_inline: Serve) -> Client:
    return Client(serve_inline())


@settings(
    derandomize=True,
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(case=st.sampled_from(CASES), value=VALUES)
@example(case=("/predict", 0, ("tasks", 0, "drafts")), value=NOTHING)
def test_no_body_is_answered_with_a_fault(
    client: Client, case: tuple[str, int, tuple[Any, ...]], value: object
) -> None:
    route, number, path = case
    response = client.post(route, changed(BODIES[route][number], path, value))
    assert response.status_code < 500
    assert response.json is not None
