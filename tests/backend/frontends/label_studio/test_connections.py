from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backend.errors import InvalidRequest
from backend.frontends.label_studio.connections import Connection, Connections, instance, options
from backend.frontends.label_studio.tokens import Instance
from backend.settings import Settings

TOLD = Connection(hostname="http://localhost:8080", token="told", local=True)


@pytest.mark.parametrize(
    ("extra_params", "expected"),
    [
        (None, {}),
        ("", {}),
        ({}, {}),
        ('{"model": "mobilesam"}', {"model": "mobilesam"}),
        ({"model": "mobilesam", "scribbles": False}, {"model": "mobilesam", "scribbles": False}),
    ],
)
def test_options_are_a_json_object_or_its_text(extra_params: object, expected: object) -> None:
    assert options(extra_params) == expected


@pytest.mark.parametrize(
    "extra_params", ["{", "[1]", [1], 7, {"modle": "x"}, {"model": 3}, {"scribbles": "no"}]
)
def test_other_options_are_refused(extra_params: object) -> None:
    with pytest.raises(InvalidRequest, match="extra_params"):
        options(extra_params)


def test_a_project_is_remembered_beyond_the_process_but_its_token_is_not(tmp_path: Path) -> None:
    path = tmp_path / "data" / "label_studio.json"
    Connections(path).remember("1", Connection("mobilesam", False, "http://ls", "secret", True))
    assert Connections(path).of("1") == Connection("mobilesam", False, "http://ls")
    assert "secret" not in path.read_text()


def test_processes_see_each_others_projects(tmp_path: Path) -> None:
    here, there = Connections(tmp_path / "c.json"), Connections(tmp_path / "c.json")
    here.remember("1", Connection("mobilesam", token="secret"))
    there.remember("2", Connection("ritm-hrnet18"))
    assert here.of("2").model == "ritm-hrnet18"
    assert here.of("1").token == "secret"
    assert there.of("1").token is None


def test_an_unknown_or_forgotten_project_has_the_defaults(tmp_path: Path) -> None:
    connections = Connections(tmp_path / "c.json")
    connections.remember("1", Connection("mobilesam"))
    connections.forget("1")
    assert connections.of("1") == connections.of(None) == Connection()


def test_a_repeated_setup_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    connections = Connections(path)
    connections.remember("1", Connection("mobilesam", token="a"))
    written = path.stat().st_mtime_ns
    connections.remember("1", Connection("mobilesam", token="b"))
    assert path.stat().st_mtime_ns == written
    assert connections.of("1").token == "b"


@pytest.mark.parametrize("text", ["{", "[]", '{"1": {"unknown": 1}}', '{"1": 7}', "\xff"])
def test_a_damaged_file_is_the_same_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(text.encode("latin-1"))
    connections = Connections(path)
    assert connections.of("1") == Connection()
    connections.remember("1", Connection("mobilesam"))
    assert Connections(path).of("1").model == "mobilesam"


def test_a_place_that_cannot_be_written_keeps_it_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    connections = Connections(tmp_path / "file" / "c.json")
    connections.remember("1", Connection("mobilesam"))
    assert connections.of("1").model == "mobilesam"


@pytest.mark.parametrize(
    ("values", "told", "expected"),
    [
        ({"label_studio_url": "http://ls:8080/"}, Connection(), Instance("http://ls:8080", None)),
        (
            {"label_studio_url": "http://ls:8080", "label_studio_api_key": "own"},
            TOLD,
            Instance("http://ls:8080", "own"),
        ),
        ({"label_studio_url": "http://ls:8080"}, TOLD, Instance("http://ls:8080", "told")),
        ({}, TOLD, Instance("http://localhost:8080", "told")),
        ({"label_studio_api_key": "own"}, TOLD, Instance("http://localhost:8080", "told")),
        ({}, Connection(hostname="http://localhost:8080", token="told"), None),
        ({}, Connection(hostname="http://ls.example", token="told", local=True), None),
        ({}, Connection(hostname="http://localhost.evil", token="told", local=True), None),
        ({}, Connection(hostname="localhost:8080", token="told", local=True), None),
        ({}, Connection(), None),
    ],
)
def test_only_a_configured_or_own_label_studio_is_asked(
    values: dict[str, Any], told: Connection, expected: Instance | None
) -> None:
    assert instance(Settings(**values), told) == expected
