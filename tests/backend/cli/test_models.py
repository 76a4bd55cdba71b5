"""`models` lists the zoo and what is installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backend.cli import app
from models.zoo import ARCHITECTURES


def test_every_published_file_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKLOOP_DATA_DIR", str(tmp_path))
    ran = CliRunner().invoke(app, ["models", "--json"])
    assert ran.exit_code == 0
    rows = json.loads(ran.stdout)
    expected = [f"{a.name}@{w.name}" for a in ARCHITECTURES.values() for w in a.weights]
    assert [row["model"] for row in rows] == expected
    assert all(row["version"] is None for row in rows)
    assert all(row["licence"] for row in rows)


def test_installed_weights_show_their_version(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASKLOOP_DATA_DIR", str(data_dir))
    rows = json.loads(CliRunner().invoke(app, ["models", "--json"]).stdout)
    versions = {row["model"]: row["version"] for row in rows}
    assert versions["mobilesam@sa-1b"].startswith("mobilesam@sa-1b:")
    table = CliRunner().invoke(app, ["models"], env={"COLUMNS": "200"}).stdout
    assert versions["mobilesam@sa-1b"].rpartition(":")[2] in table
