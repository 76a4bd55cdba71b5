"""`cvat-functions` writes one function a model."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

from backend.cli.cvat_functions import cvat_functions
from backend.errors import InvalidRequest, UnknownModelName
from models import zoo


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(cvat_functions)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKLOOP_DATA_DIR", str(tmp_path / "data"))


def test_one_directory_a_model_that_is_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASKLOOP_MODELS", "ritm-hrnet18@sbd")
    monkeypatch.setenv("MASKLOOP_FLIP", "no")
    ran = run("--out", tmp_path / "out")
    assert ran.exit_code == 0
    found = sorted(path.relative_to(tmp_path / "out") for path in tmp_path.glob("out/*/*"))
    assert [str(path) for path in found] == [
        "maskloop-mobilesam/function.yaml",
        "maskloop-ritm-hrnet18-sbd/function.yaml",
    ]
    config = yaml.safe_load((tmp_path / "out" / found[1]).read_text())
    assert config["spec"]["env"][-1] == {"name": "MASKLOOP_FLIP", "value": "false"}


def test_for_a_gpu(tmp_path: Path) -> None:
    assert run("--gpu", "--out", tmp_path, "ritm-hrnet18s").exit_code == 0
    (path,) = tmp_path.glob("*/*")
    assert path.name == "function-gpu.yaml"
    assert yaml.safe_load(path.read_text())["spec"]["resources"]


def test_every_published_model(tmp_path: Path) -> None:
    assert run("--all", "--out", tmp_path).exit_code == 0
    expected = sum(len(entry.weights) for entry in zoo.SEGMENTERS.values())
    assert len(list(tmp_path.glob("*/function.yaml"))) == expected


def test_mistakes_are_sentences(tmp_path: Path) -> None:
    unknown = run("mobile-sam", "--out", tmp_path).exception
    assert isinstance(unknown, UnknownModelName)
    (tmp_path / "taken").touch()
    refused = run("--out", tmp_path / "taken").exception
    assert isinstance(refused, InvalidRequest)
    assert "cannot be written" in refused.message
