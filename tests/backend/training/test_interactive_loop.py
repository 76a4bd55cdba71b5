"""A recipe for clicks through the whole loop: files in, weights out, stopped and gone on with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import models
from backend.errors import InvalidRequest
from backend.training.export import WEIGHTS
from backend.training.interactive import Interactive
from backend.training.loop import train
from backend.training.recipe import Recipe
from backend.training.recipes import RECIPES
from backend.training.settings import RunSettings
from models import checkpoints
from models.prompts import Click, Prompt
from tests.backend.training.two_pictures import small_samples, two_pictures

QUICK = RunSettings(device="cpu", log_steps=1, workers=0, picture_steps=2)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for part in ("images", "masks"):
        (root / part).mkdir()
    for number, picture in enumerate(two_pictures().pictures):
        bgr = cv2.cvtColor(picture.image, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(root / "images" / f"{number}.png"), bgr)
        cv2.imwrite(str(root / "masks" / f"{number}.png"), picture.mask(0).astype(np.uint8))
    return root


def recipe(name: str, steps: int) -> Recipe:
    chosen = RECIPES[name]
    assert isinstance(chosen.task, Interactive)
    settings = chosen.task.settings
    sampling = settings.sampling
    least = None if sampling.least is None else 50
    small = replace(sampling, settings=small_samples(sampling.settings, 64, 64), least=least)
    task = Interactive(replace(settings, sampling=replace(small, fullest=1.0)))
    return replace(chosen.with_steps(steps), batch=2, task=task)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return dict(checkpoints.load(out / WEIGHTS).tensors)


@pytest.mark.parametrize(
    "name",
    [
        "focalclick-segformerb0-s1",
        pytest.param("ritm-hrnet18s", marks=pytest.mark.slow),
    ],
)
def test_a_training_that_went_on_makes_the_same_weights(
    name: str, folder: Path, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train(recipe(name, 4), [folder], whole, QUICK).finished
    assert train(recipe(name, 2), [folder], parts, QUICK).step == 2
    between = weights(parts)
    assert train(recipe(name, 4), [folder], parts, QUICK).step == 4
    first, second = weights(whole), weights(parts)
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key
    assert any(not torch.equal(value, first[key]) for key, value in between.items())
    # What comes out is what everything else here uses.
    segmenter = models.segmenter(name, weights=whole / WEIGHTS)
    image = two_pictures().load(0).image
    answer = segmenter.segment(segmenter.prepare(image), Prompt(clicks=(Click(40, 40),)))
    assert answer.mask.shape == image.shape[:2]


def test_clicks_are_counted_on_the_validation_sets(folder: Path, tmp_path: Path) -> None:
    evaluated = tmp_path / "evaluated"
    for part in ("images", "masks"):
        (evaluated / part).mkdir(parents=True)
    picture = two_pictures().load(0)
    cv2.imwrite(str(evaluated / "images" / "a.png"), picture.image)
    cv2.imwrite(str(evaluated / "masks" / "a.png"), picture.mask(0).astype(np.uint8) * 255)
    chosen = replace(QUICK, measure_steps=1, validation=(evaluated,))
    out, name = tmp_path / "out", "focalclick-segformerb0-s1"
    train(recipe(name, 1), [folder], out, chosen)
    train(recipe(name, 2), [folder], out, chosen)
    measured = json.loads((out / "run.json").read_text())["measured"]
    assert [row["step"] for row in measured] == [1, 2]
    assert all(1 <= row["evaluated/noc@90"] <= 20 for row in measured)
    with pytest.raises(InvalidRequest, match="evaluation set"):
        train(recipe(name, 3), [folder], out, replace(chosen, validation=(tmp_path / "none",)))


def test_a_training_begins_with_the_weights_that_are_given(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    given = models.create("ritm-hrnet18s").state_dict()
    file = tmp_path / "given.safetensors"
    checkpoints.save(checkpoints.Checkpoint("ritm-hrnet18s", given), file)
    slow = recipe("ritm-hrnet18s", 1)
    slow = replace(slow, optimiser=replace(slow.optimiser, rate=0.0))
    train(slow, [folder], tmp_path / "out", QUICK, weights=file)
    for name, value in weights(tmp_path / "out").items():
        if "running" not in name and "batches" not in name:
            assert torch.equal(value, given[name]), name
