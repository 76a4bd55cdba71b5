"""`python -m backend weights`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from backend.cli.weights import app
from models import zoo


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MASKLOOP_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.pt"
    torch.save(zoo.architecture("mobilesam").network().state_dict(), path)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(
        app, [str(argument) for argument in arguments], env={"COLUMNS": "100"}
    )


def test_list_shows_what_can_be_had_and_on_what_terms() -> None:
    listed = run("list")
    assert listed.exit_code == 0
    (line,) = [line for line in listed.stdout.splitlines() if "mobilesam@sa-1b" in line]
    assert line.split() == ["mobilesam@sa-1b", "39", "pull", "no", "Apache-2.0"]


def test_added_weights_are_listed_and_verified(file: Path, data_dir: Path) -> None:
    added = run("add", file)
    assert added.exit_code == 0
    assert "mobilesam@mine is installed: version mobilesam@mine:" in added.stdout
    assert "mobilesam@mine" in run("list").stdout
    assert "mobilesam@mine: intact" in run("verify").stdout
    (stored,) = (data_dir / "weights").glob("*.safetensors")
    data = bytearray(stored.read_bytes())
    data[-1] ^= 1
    stored.write_bytes(data)
    verified = run("verify")
    assert verified.exit_code == 1
    assert "has changed" in verified.stdout


def test_what_is_shipped_is_verified_too() -> None:
    verified = run("verify")
    assert (verified.exit_code, verified.stdout.strip()) == (0, "maskloop@open: intact")


def test_mistakes_are_sentences(tmp_path: Path) -> None:
    for command, told in (
        (("pull", "mobile-sam"), "did you mean mobilesam"),
        (("add", tmp_path / "absent"), "absent"),
    ):
        result = run(*command)
        assert result.exit_code == 1
        assert told in result.output
        assert "Traceback" not in result.output


def test_a_data_directory_that_cannot_be_written_is_a_sentence(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "blocked"
    blocked.touch()
    monkeypatch.setenv("MASKLOOP_DATA_DIR", str(blocked))
    result = run("add", file)
    assert result.exit_code == 1
    assert "blocked" in result.output
