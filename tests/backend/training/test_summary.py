from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from backend.errors import InvalidRequest
from backend.training import summary
from backend.training.recipe import EPOCH, Optimiser, Recipe, Schedule, named, steps_of
from tests.backend.training.toy import PLAIN


@dataclass(frozen=True)
class Setting:
    points: int = 24


def test_a_recipe_is_told_in_plain_values_that_json_gives_back() -> None:
    recipe = replace(PLAIN, settings={"points": Setting(), "sizes": (1, 2), "names": {"b", "a"}})
    told = summary.described(recipe)
    assert json.loads(json.dumps(told)) == told
    assert told["settings"] == {"points": {"points": 24}, "sizes": [1, 2], "names": ["a", "b"]}
    assert "task" not in told


def test_what_changes_the_training_is_named() -> None:
    before = summary.described(PLAIN)

    def differences(recipe: Recipe) -> list[str]:
        return list(summary.differences(before, summary.described(recipe)).values())

    assert differences(PLAIN) == []
    assert differences(replace(PLAIN, summary="other words")) == []
    free = replace(PLAIN, steps=99, schedule=Schedule(), compiled=True, channels_last=True)
    assert summary.differences(before, summary.described(free)).keys() == summary.FREE
    assert differences(replace(PLAIN, precision="float16")) == [
        "precision was 'float32' and is 'float16'"
    ]
    assert differences(replace(PLAIN, settings={"a": 1})) == ["settings was {} and is {'a': 1}"]
    (sentence,) = differences(replace(PLAIN, optimiser=Optimiser(rate=1.0)))
    assert sentence.startswith("optimiser was")


def test_a_fingerprint_tells_data_apart_wherever_they_lie(tmp_path: Path) -> None:
    for root in ("here", "there"):
        (tmp_path / root / "images").mkdir(parents=True)
        (tmp_path / root / "images" / "a.jpg").write_bytes(b"123")
        (tmp_path / root / "b.png").write_bytes(b"4")
    here = summary.fingerprint(tmp_path / "here")
    assert (here["files"], here["bytes"]) == (2, 4)
    assert summary.same_data([here], [summary.fingerprint(tmp_path / "there")])
    (tmp_path / "there" / "b.png").write_bytes(b"45")
    assert not summary.same_data([here], [summary.fingerprint(tmp_path / "there")])
    assert not summary.same_data([here], [here, here])
    (tmp_path / "here" / "images" / "back").symlink_to(tmp_path / "here")
    assert summary.fingerprint(tmp_path / "here") == here
    single = summary.fingerprint(tmp_path / "here" / "b.png")
    assert (single["files"], single["bytes"]) == (1, 1)


def test_a_file_that_is_no_summary_is_told(tmp_path: Path) -> None:
    assert summary.read(tmp_path) is None
    for text in ("{", "[]", '{"recipe": 1}'):
        (tmp_path / summary.FILE).write_text(text)
        with pytest.raises(InvalidRequest, match="no summary of a training"):
            summary.read(tmp_path)


def test_a_recipe_is_stretched_in_proportion() -> None:
    recipe = replace(
        PLAIN, steps=230, schedule=Schedule("multi-step", milestones=(200, 220), warm_up=10)
    )
    longer = recipe.with_steps(2300)
    assert (longer.steps, longer.schedule.milestones) == (2300, (2000, 2200))
    assert longer.schedule.warm_up == 100
    assert recipe.with_steps(230) == recipe


def test_published_epochs_are_counted_in_whole_batches() -> None:
    assert EPOCH == 30_000
    assert steps_of(230, batch=32) == 230 * 937
    assert steps_of(1, batch=7, samples=20) == 2


def test_an_unknown_recipe_is_told_with_those_that_come_near() -> None:
    recipes = {"ritm-hrnet18s": PLAIN, "maskloop": PLAIN}
    assert named("maskloop", recipes) is PLAIN
    with pytest.raises(InvalidRequest, match="did you mean ritm-hrnet18s"):
        named("ritm-hrnet18", recipes)
    with pytest.raises(InvalidRequest, match="there are ritm-hrnet18s, maskloop"):
        named("??", recipes)
