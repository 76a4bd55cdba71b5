"""The tables of docs/models.md: every model, every published number, commands that exist."""

from __future__ import annotations

import re
import shlex
from itertools import takewhile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backend.cli import app
from backend.cli.models_document import tables
from backend.errors import InvalidRequest
from backend.settings import load
from models import zoo

FILES = [(entry, file) for entry in zoo.ARCHITECTURES.values() for file in entry.weights]


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    part = tables().split(f"## {heading}\n\n")[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in part.split("\n")[2:]]


def test_every_file_is_listed_with_its_licences() -> None:
    found = rows("All models")
    assert [row[0] for row in found] == [f"`{entry.name}@{file.name}`" for entry, file in FILES]
    for row, (entry, file) in zip(found, FILES, strict=True):
        assert row[2] == f"{entry.parameters:,}"
        assert file.address in row[4]
        assert row[5:] == [file.licence_code, file.licence_weights]


def published(task: str) -> list[float]:
    return [
        number.value for entry, file in FILES for number in file.published if entry.task == task
    ]


def test_every_published_number_is_in_its_table() -> None:
    cells = [cell for row in rows("Published clicks") for cell in row[1:-1]]
    numbers = [part for cell in cells for part in cell.split("/") if part not in ("", "-")]
    assert sorted(numbers) == sorted(f"{value:.2f}" for value in published("segment"))


def test_every_published_number_of_a_tracker_is_in_its_table() -> None:
    cells = [cell for row in rows("Published tracking") for cell in row[1:]]
    assert sorted(cells) == sorted(f"{value:.1f}" for value in published("track"))


def test_whose_number_it_is_and_how_it_was_taken_is_said() -> None:
    titles = [row[0] for row in rows("Published clicks")]
    assert "`simpleclick-vit-b@coco-lvis` (told by ClickAttention's README)" in titles
    assert "`fbrs-resnet50@sbd` (RGB-BRS)" in titles
    assert "`focalclick-hrnet32-s2@combined` (from an initial mask)" in titles


@pytest.mark.parametrize("command", sorted({row[-1] for row in rows("Published clicks")}))
def test_every_command_exists(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = shlex.split(command.strip("`"))
    settings = list(takewhile(lambda word: re.match(r"[A-Z_]+=", word), words))
    words = words[len(settings) :]
    assert words[:4] == ["python", "-m", "backend", "evaluate"]
    for setting in settings:
        monkeypatch.setenv(*setting.split("=", 1))
    load()
    sets = [str(tmp_path / "absent") if word == "SETS" else word for word in words[3:]]
    ran = CliRunner().invoke(app, sets, env={"MASKLOOP_DATA_DIR": str(tmp_path)})
    assert isinstance(ran.exception, InvalidRequest), ran.output
    assert "absent is not a folder" in str(ran.exception)
