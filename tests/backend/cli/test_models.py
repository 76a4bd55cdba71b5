"""`models` lists the zoo and what is installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from backend import weights
from backend.cli import app
from backend.errors import UnknownModelName
from backend.settings import Settings
from models import checkpoints, zoo
from models.zoo import ARCHITECTURES


def test_every_published_file_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKLOOP_DATA_DIR", str(tmp_path))
    ran = CliRunner().invoke(app, ["models", "--json"])
    assert ran.exit_code == 0
    rows = json.loads(ran.stdout)
    expected = [f"{a.name}@{w.name}" for a in ARCHITECTURES.values() for w in a.weights]
    assert [row["model"] for row in rows] == expected
    assert all(row["version"] is None for row in rows if not row["shipped"])
    for row in rows:
        assert row["licence"] and row["licence_code"] and row["trained_on"]
        assert row["shipped"] or row["address"].startswith("https://")
        assert row["backbone"] and row["parameters"] > 0 and row["prompts"]
        assert row["source"] and row["home"]


def test_installed_weights_show_their_version(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASKLOOP_DATA_DIR", str(data_dir))
    rows = json.loads(CliRunner().invoke(app, ["models", "--json"]).stdout)
    versions = {row["model"]: row["version"] for row in rows}
    assert versions["mobilesam@sa-1b"].startswith("mobilesam@sa-1b:")
    table = CliRunner().invoke(app, ["models"], env={"COLUMNS": "200"}).stdout
    assert versions["mobilesam@sa-1b"].rpartition(":")[2] in table


def test_the_table_fits_a_hundred_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASKLOOP_DATA_DIR", str(tmp_path))
    printed = CliRunner().invoke(app, ["models"], env={"COLUMNS": "100"}).stdout
    assert max(map(len, printed.splitlines())) <= 100
    for architecture in ARCHITECTURES.values():
        for file in architecture.weights:
            assert f"{architecture.name}@{file.name} " in printed


def test_one_model_is_told_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKLOOP_DATA_DIR", str(tmp_path))
    told = CliRunner().invoke(app, ["models", "ritm-hrnet18@coco-lvis"]).stdout
    assert told.startswith("ritm-hrnet18@coco-lvis\n")
    assert "ritm-hrnet18@sbd" not in told
    for text in (
        "10,068,217 values",
        "releases/download/v1.0/coco_lvis_h18_itermask.pth",
        "none published; that of the first copy is kept; a third party says 5f69cfce",
        "davis      noc@90   5.74",
        "clicks, box, scribbles, mask",
    ):
        assert text in told
    both = CliRunner().invoke(app, ["models", "ritm-hrnet18", "--json"]).stdout
    assert [row["weights"] for row in json.loads(both)] == [
        "coco-lvis",
        "sbd",
        "coco-lvis-baseline",
    ]


def test_weights_of_ones_own_are_told_with_what_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASKLOOP_DATA_DIR", str(tmp_path / "own"))
    file = tmp_path / "mine.safetensors"
    torch.manual_seed(0)
    tensors = zoo.architecture("ritm-hrnet18s").network().state_dict()
    checkpoints.save(checkpoints.Checkpoint("ritm-hrnet18s", tensors), file)
    version = weights.add(Settings(data_dir=tmp_path / "own"), file).version
    told = CliRunner().invoke(app, ["models", "ritm-hrnet18s@mine"]).stdout
    assert f"installed   {version}" in told
    assert "weights     yours" in told
    assert "address" not in told
    listed = CliRunner().invoke(app, ["weights", "list"], env={"COLUMNS": "100"}).stdout
    (line,) = [line for line in listed.splitlines() if "ritm-hrnet18s@mine" in line]
    assert line.split()[2:] == ["you", version.rpartition(":")[2], "yours"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("ritm-hrnet-18", "did you mean ritm-hrnet18"), ("mobilesam@mine", "known or installed")],
)
def test_a_model_that_is_not_known_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.setenv("MASKLOOP_DATA_DIR", str(tmp_path))
    ran = CliRunner().invoke(app, ["models", name])
    assert isinstance(ran.exception, UnknownModelName)
    assert said in ran.exception.message
