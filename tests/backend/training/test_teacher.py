"""Training objects from a teacher."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.errors import InvalidRequest, WeightsMissing
from backend.settings import Settings
from backend.training.data.opening import open_sources
from backend.training.data.source import Annotated, Kind, Layer, ObjectRef
from backend.training.teacher import IGNORE, Labelled, labelled, teacher, write_shards
from models.mobilesam_network import MobileSam
from models.sam_everything import EverythingOptions
from tests import scene

OPTIONS = EverythingOptions(points=8)


@pytest.fixture(scope="module")
def network(installed_weights: Path) -> MobileSam:
    return teacher(Settings(data_dir=installed_weights.parent), 512, "cpu")


def still_life(*, annotated: bool) -> Annotated:
    image, orange = scene.draw()
    layer: Layer = np.where(orange & annotated, 1, 0).astype(np.int32)
    objects = (ObjectRef(0, 1),) if annotated else ()
    return Annotated(image, (layer,), objects, Kind.INSTANCES, "still", "life")


def found_orange(result: Labelled) -> float:
    """How well any of the teacher's objects is the orange: IoU."""
    _, orange = scene.draw()
    masks = [result.mask == index for index in range(1, result.objects + 1)]
    return max(float((mask & orange).sum() / (mask | orange).sum()) for mask in masks)


def test_the_teacher_draws_where_nobody_has(network: MobileSam) -> None:
    alone = labelled(still_life(annotated=False), network, OPTIONS)
    assert alone is not None
    assert found_orange(alone) > 0.9


def test_what_a_person_drew_wins(network: MobileSam) -> None:
    beside = labelled(still_life(annotated=True), network, OPTIONS)
    assert beside is not None
    _, orange = scene.draw()
    assert (beside.mask[orange] == IGNORE).all()
    assert found_orange(beside) < 0.1
    assert beside.source == "still-teacher"


def test_nothing_found_is_no_picture(network: MobileSam) -> None:
    strict = EverythingOptions(points=4, score=5.0)
    assert labelled(still_life(annotated=False), network, strict) is None


def pictures(count: int) -> list[Labelled]:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (32, 48, 3)).astype(np.uint8)
    mask = np.zeros((32, 48), np.uint8)
    mask[4:10, 4:20], mask[20:30, 10:40], mask[0] = 1, 2, IGNORE
    return [Labelled(str(number), "made", image, mask, 2) for number in range(count)]


def test_the_shards_are_read_as_training_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.training.teacher.SHARD_PIXELS", 32 * 48 * 3)
    made = pictures(7)
    assert write_shards(iter(made), tmp_path / "out") == (7, 14)
    assert len(list((tmp_path / "out").glob("*.tar"))) == 3
    source = open_sources([tmp_path / "out"])
    assert len(source) == 7
    first = source.load(0)
    assert first.source == "made"
    assert first.kind is Kind.REGIONS
    assert np.array_equal(first.mask(1), made[0].mask == 2)
    assert np.array_equal(first.ignored(), made[0].mask == IGNORE)


def test_a_teacher_needs_its_weights_and_a_side_it_can_see(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with pytest.raises(WeightsMissing, match="pull mobilesam"):
        teacher(settings, 512, "cpu")
    with pytest.raises(InvalidRequest, match="multiple of 16"):
        teacher(settings, 500, "cpu")


def test_an_empty_picture_list_writes_nothing(tmp_path: Path) -> None:
    assert write_shards(iter([replace(one) for one in pictures(0)]), tmp_path / "out") == (0, 0)
