"""`doctor` finds what is wrong, says how to mend it, and tells it by its exit status."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend.cli.doctor import Finding, examine
from backend.settings import Settings, variables
from tests.backend.cli.server import ROOT, environment, free_port, serving

if TYPE_CHECKING:
    from tests.backend.conftest import RedisServer


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """None of the tester's own settings, and a data directory that is empty."""
    for field in Settings.model_fields:
        for name in variables(field):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MASKLOOP_DATA_DIR", str(tmp_path))


def findings(port: int | None = None) -> dict[str, Finding]:
    return {found.name: found for found in examine("127.0.0.1", port or free_port())}


def test_all_is_well_where_it_is(data_dir: Path) -> None:
    found = findings()
    assert all(finding.ok for finding in found.values()), found
    assert set(found) == {
        *("Python", "settings", "torch", "OpenCV", "data", "database", "weights", "port")
    }
    assert "mobilesam@sa-1b:" in found["weights"].text


def test_missing_weights(tmp_path: Path) -> None:
    found = findings()["weights"]
    assert not found.ok
    assert "python -m backend weights pull mobilesam" in found.text


def test_damaged_weights(data_dir: Path, installed_weights: Path, tmp_path: Path) -> None:
    (data_dir / "weights").unlink()
    (data_dir / "weights").mkdir()
    for file in installed_weights.glob("mobilesam*"):
        content = bytearray(file.read_bytes())
        if file.suffix == ".safetensors":
            content[-1] ^= 1
        (data_dir / "weights" / file.name).write_bytes(content)
    found = findings()["weights"]
    assert not found.ok
    assert "has changed" in found.text


def test_a_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKLOOP_DEVISE", "cuda")
    found = findings()
    assert not found["settings"].ok
    assert "MASKLOOP_DEVISE" in found["settings"].text
    assert "weights" not in found


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKLOOP_DEVICE", "cuda:99")
    assert "MASKLOOP_DEVICE" in findings()["torch"].text


def test_a_data_directory_that_cannot_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MASKLOOP_DATA_DIR", str(tmp_path / "file" / "data"))
    found = findings()["data"]
    assert not found.ok
    assert "MASKLOOP_DATA_DIR" in found.text


def test_a_database_that_does_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKLOOP_DATABASE_URL", "nonsense")
    found = findings()["database"]
    assert not found.ok
    assert "MASKLOOP_DATABASE_URL" in found.text


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = findings(taken.getsockname()[1])["port"]
    assert not found.ok
    assert "--port" in found.text


def test_a_port_that_is_ours_already(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        found = findings(server.port)["port"]
    assert found.ok
    assert "Maskloop already" in found.text


def test_redis_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    found = findings()
    assert not found["Redis"].ok
    assert "127.0.0.1:1" in found["Redis"].text
    assert not found["worker"].ok


def test_redis_without_a_worker(monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer) -> None:
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.setenv("MASKLOOP_QUEUE_NAME", "nobody")
    found = findings()
    assert found["Redis"].ok
    assert not found["worker"].ok
    assert "python -m backend worker" in found["worker"].text


def test_label_studio_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", f"http://127.0.0.1:{free_port()}")
    found = findings()
    assert not found["Label Studio"].ok
    assert "LABEL_STUDIO_API_KEY" in found["its projects"].text


@pytest.mark.parametrize("healthy", [True, False])
def test_the_exit_status_tells(
    tmp_path: Path, healthy: bool, request: pytest.FixtureRequest
) -> None:
    if healthy:
        request.getfixturevalue("data_dir")
    ran = subprocess.run(
        [sys.executable, "-m", "backend", "doctor", "--port", str(free_port())],
        cwd=ROOT,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == (0 if healthy else 1), ran.stdout
    lines = ran.stdout.splitlines()
    assert all(line.startswith(("ok ", "fails ")) for line in lines)
    assert any(line.startswith("fails ") for line in lines) != healthy
    assert os.environ.get("MASKLOOP_DATA_DIR") == str(tmp_path)
