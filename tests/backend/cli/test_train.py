"""The command end to end, on a small network; the real recipes are listed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from backend.cli import app
from backend.cli.train import changed
from backend.errors import InvalidRequest, InvalidSettings
from backend.training import recipes as table
from backend.training import summary
from backend.training.recipe import Schedule
from tests.backend.training.toy import NORMED, PLAIN


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"toy": NORMED, "toy-plain": replace(PLAIN, name="toy-plain")}
    monkeypatch.setattr(table, "RECIPES", known)


def run(*arguments: str | Path) -> Result:
    environment = {"COLUMNS": "200", "MASKLOOP_DEVICE": "cpu"}
    return CliRunner().invoke(app, ["train", *map(str, arguments)], env=environment)


def test_recipe_data_and_folder_make_weights(tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--steps", 6, "--batch", 8, "--accumulate", 2, "--seed", 3, "--half", "--name", "d1")
    result = run("--recipe", "toy", "--data", __file__, "--out", out, *options)
    assert result.exit_code == 0, result.output
    document = json.loads((out / summary.FILE).read_text())
    assert (document["step"], document["status"]) == (6, "finished")
    assert (document["recipe"]["batch"], document["recipe"]["seed"]) == (8, 3)
    assert document["settings"]["accumulate"] == 2
    assert [entry["file"] for entry in document["weights"]] == [
        "weights.safetensors",
        "weights-half.safetensors",
    ]
    again = run("--recipe", "toy", "--data", __file__, "--out", out, *options)
    assert again.exit_code == 0
    assert "nothing is left to do" in again.output


def test_several_paths_of_data_are_several(tmp_path: Path) -> None:
    here = Path(__file__).parent
    result = run(
        "--recipe", "toy", "--data", __file__, "--data", here, "--out", tmp_path, "--steps", 1
    )
    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / summary.FILE).read_text())
    assert [entry["path"] for entry in document["data"]] == [__file__, str(here)]


def test_the_list_names_every_recipe() -> None:
    result = run("--list")
    assert result.exit_code == 0
    assert "toy-plain" in result.output
    assert NORMED.summary in result.output


def test_what_is_missing_or_wrong_is_one_sentence(tmp_path: Path) -> None:
    def message(*arguments: str | Path, kind: type[Exception] = InvalidRequest) -> str:
        result = run(*arguments)
        assert isinstance(result.exception, kind), result.output
        return str(result.exception)

    whole = ("--data", __file__, "--out", tmp_path / "out")
    assert "--list" in message(*whole)
    assert "train needs --out" in message("--recipe", "toy", "--data", __file__)
    assert "did you mean toy" in message("--recipe", "toys", *whole)
    assert "--data" in message("--recipe", "toy", "--out", tmp_path / "out")
    assert "no data at" in message("--recipe", "toy", "--data", "/nowhere", "--out", tmp_path / "o")
    assert "none of float32, bfloat16" in message("--recipe", "toy", *whole, "--precision", "fp8")
    assert "--name 'A B'" in message("--recipe", "toy", *whole, "--name", "A B")
    assert "cuda:99" in message(
        "--recipe", "toy", *whole, "--device", "cuda:99", kind=InvalidSettings
    )
    assert not (tmp_path / "out").exists()


def test_options_replace_what_the_recipe_says() -> None:
    recipe = replace(PLAIN, steps=100, schedule=Schedule("multi-step", milestones=(50,)))
    assert changed(recipe) == recipe
    other = changed(
        recipe,
        steps=200,
        batch=6,
        rate=0.5,
        precision="bfloat16",
        seed=0,
        channels_last=True,
        compiled=False,
    )
    assert (other.steps, other.schedule.milestones, other.batch) == (200, (100,), 6)
    assert (other.optimiser.rate, other.optimiser.kind) == (0.5, recipe.optimiser.kind)
    assert (other.precision, other.seed) == ("bfloat16", 0)
    assert (other.channels_last, other.compiled) == (True, False)


def test_every_real_recipe_can_be_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    for name, recipe in table.RECIPES.items():
        assert recipe.name == name
        assert recipe.summary
        assert recipe.steps > 0
        assert recipe.batch > 0
        described = summary.described(recipe)
        assert json.loads(json.dumps(described)) == described
