"""Every mask that MobileSAM is sure of: with the real weights, on a picture with known things."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.settings import Settings
from backend.training.teacher import teacher
from models.mobilesam_network import MobileSam
from models.sam_everything import EverythingOptions, FoundMask, everything
from tests import scene

SIDE = 512


@pytest.fixture(scope="module")
def network(installed_weights: Path) -> MobileSam:
    return teacher(Settings(data_dir=installed_weights.parent), SIDE, "cpu")


@pytest.fixture(scope="module")
def found(network: MobileSam) -> list[FoundMask]:
    return everything(network, scene.draw()[0], EverythingOptions(points=8))


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_the_things_of_a_still_life_are_found(found: list[FoundMask]) -> None:
    _, orange = scene.draw()
    assert max(iou(candidate.mask, orange) for candidate in found) > 0.9


def test_masks_are_sure_distinct_and_in_order(found: list[FoundMask]) -> None:
    options = EverythingOptions()
    assert len(found) >= 2
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    for number, one in enumerate(found):
        assert one.score >= options.score
        assert one.stability >= options.stability
        assert one.mask.sum() >= options.least_area
        assert all(iou(one.mask, other.mask) <= options.same for other in found[:number])


def test_asking_for_more_certainty_leaves_less(network: MobileSam, found: list[FoundMask]) -> None:
    strict = EverythingOptions(points=8, score=0.99)
    fewer = everything(network, scene.draw()[0], strict)
    assert len(fewer) < len(found)
    assert not everything(network, scene.draw()[0], EverythingOptions(points=4, score=5.0))
