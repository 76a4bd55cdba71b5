from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from backend.cli import app
from backend.errors import InvalidRequest
from backend.training.data.opening import open_sources
from tests.backend.evaluation import folders as evaluation_folders
from tests.backend.training.data.pictures import members_of, scene, write_shard, write_tar


def run(*arguments: str | Path) -> list[str]:
    """The lines that the command prints."""
    ran = CliRunner().invoke(app, ["data", *map(str, arguments)], catch_exceptions=False)
    assert ran.exit_code == 0
    return ran.stdout.splitlines()


def test_the_table_counts_every_set_and_kind(tmp_path: Path) -> None:
    first = write_shard(tmp_path / "0.tar", 3, source="animals")
    parts = members_of("p", scene(seed=8), {"source": "coats", "kind": "parts", "objects": 9})
    second = write_tar(tmp_path / "1.tar", parts)
    lines = run(first, second)
    assert [line.split() for line in lines[1:4]] == [
        ["animals", "instances", "3", "12", "53.6%"],
        ["coats", "parts", "1", "9", "46.4%"],
        ["all", "4", "21"],
    ]
    assert lines[-1] == f"fingerprint {open_sources([first, second]).fingerprint()}"


def test_shards_that_are_not_what_they_should_be_end_it(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "0.tar")
    wrong = {"shards": [{"file": "0.tar", "sha256": "0" * 64}]}
    (tmp_path / "manifest.json").write_text(json.dumps(wrong))
    with pytest.raises(InvalidRequest, match="fetch the shard again"):
        run(path)


def test_evaluation_pictures_are_found_and_can_be_left_out(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "0.tar", 4)
    twin = (scene(seed=2).image, np.ones((120, 160), np.int16))
    held_out = evaluation_folders.write_packed(tmp_path / "held-out", {"twin": twin})
    taken = tmp_path / "taken.txt"
    lines = run(path, "--against", held_out, "--bits", "2", "--out", taken)
    named = [line for line in lines if " looks like " in line]
    assert len(named) == 1 and named[0].startswith("discs/a2 looks like")
    assert lines[-2] == "1 of 4 pictures look like one of 1"
    left = open_sources([path, taken])
    assert [left.record(index).key for index in range(len(left))] == ["a0", "a1", "a3"]
    lines = run(path, taken, "--against", held_out, "--bits", "2")
    assert lines[-1] == "0 of 3 pictures look like one of 1"
