"""What starts the backend elsewhere: Dockerfile and composition say what they should."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from backend.settings import Settings, variables

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def composition() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def instructions() -> list[str]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_dockerfile_passes_its_linter() -> None:
    found = subprocess.run(
        [BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "")


def test_every_yaml_file_passes_the_linter() -> None:
    found = subprocess.run(
        [BIN / "yamllint", "--strict", "."], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "")


def test_the_image_runs_as_nobody_special_and_is_looked_after() -> None:
    lines = instructions()
    users = [line.split()[1] for line in lines if line.startswith("USER")]
    assert users
    assert all(user.isdecimal() and int(user) >= 1000 for user in users)
    (check,) = [line for line in lines if line.startswith("HEALTHCHECK")]
    assert "/healthz" in check
    assert any(line.startswith("FROM python:3.11-slim") for line in lines)


def test_the_image_is_sent_no_more_than_it_runs() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    sent = [line[1:] for line in ignored if line.startswith("!")]
    assert all((ROOT / name).exists() for name in sent)
    assert {"backend", "models", "requirements.txt"} <= set(sent)


def test_web_worker_and_redis_are_composed() -> None:
    services = composition()["services"]
    assert {"redis", "web", "worker"} <= set(services)
    (script,) = services["worker"]["command"]
    assert script.splitlines()[-1] == "exec python -m backend worker"
    assert services["web"]["command"][0] == "serve"


def test_the_worker_starts_whether_or_not_its_weights_can_be_had(tmp_path: Path) -> None:
    worker = composition()["services"]["worker"]
    told = tmp_path / "told"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >> {told}\ntest "$3" != weights\n')
    python.chmod(0o755)
    script = worker["command"][0].replace("$$", "$")
    ran = subprocess.run(
        [*worker["entrypoint"], script],
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "MASKLOOP_MODEL": "mobilesam",
            "MASKLOOP_MODELS": "ritm-hrnet18s,ritm-hrnet32",
        },
        check=False,
    )
    assert ran.returncode == 0
    assert told.read_text().splitlines() == [
        "-m backend weights pull mobilesam",
        "-m backend weights pull ritm-hrnet18s",
        "-m backend weights pull ritm-hrnet32",
        "-m backend worker",
    ]


def test_redis_keeps_nothing_and_is_reached_by_nobody_else() -> None:
    redis = composition()["services"]["redis"]
    assert "ports" not in redis
    assert "volumes" not in redis
    command = redis["command"]
    assert command[command.index("--save") + 1] == ""
    assert command[command.index("--appendonly") + 1] == "no"
    assert re.fullmatch(r"redis:\d+\.\d+.*", redis["image"])


def test_a_missing_key_stops_the_composition() -> None:
    for name in ("web", "worker"):
        environment = composition()["services"][name]["environment"]
        assert re.match(r"\$\{MASKLOOP_API_KEY:\?.+\}", environment["MASKLOOP_API_KEY"])


def test_the_composition_sets_what_the_backend_knows() -> None:
    known = {name for field in Settings.model_fields for name in variables(field)}
    for service in composition()["services"].values():
        assert set(service.get("environment", ())) <= known
