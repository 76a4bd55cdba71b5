from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.training.data.objects import Chosen, ObjectChoice
from backend.training.data.points import PointSampler, cumulative
from tests.backend.training.data.pictures import annotated, layer_of, scene

SAMPLER = PointSampler()
ALONE = ObjectChoice(smallest=1, merge=0)


def chosen_square(others: bool = True) -> Chosen:
    """A square with another object far from it and a strip to be ignored."""
    layer = layer_of((100, 140), (30, 30, 70, 70), (30, 110, 60, 130))
    layer[90:] = -1
    target = np.where(layer == 1, 1, np.where(layer == -1, -1, 0)).astype(np.int8)
    return Chosen(target, (layer == 1,), (), layer == 2 if others else None)


def drawn(chosen: Chosen, sampler: PointSampler = SAMPLER, count: int = 300) -> list[np.ndarray]:
    return [sampler.sample(chosen, np.random.default_rng(seed)) for seed in range(count)]


def places(points: np.ndarray) -> np.ndarray:
    """(row, column) of the points that there are."""
    return points[points[:, 0] >= 0, :2].astype(int)


def test_form_of_the_points() -> None:
    for points in drawn(chosen_square(), count=100):
        assert points.shape == (48, 3) and points.dtype == np.float32
        for block in (points[:24], points[24:]):
            count = len(places(block))
            assert (block[:count, 2] == 100).all() and (block[count:] == -1).all()
        assert len(places(points[:24])) >= 1


def test_signs_lie_where_they_must_and_nothing_on_what_is_ignored() -> None:
    chosen = chosen_square()
    for points in drawn(chosen):
        assert (chosen.target[tuple(places(points[:24]).T)] == 1).all()
        assert (chosen.target[tuple(places(points[24:]).T)] == 0).all()


def test_positive_clicks_keep_away_from_the_edge_nine_times_in_ten() -> None:
    chosen = chosen_square()
    inner = np.zeros(chosen.target.shape, np.bool_)
    inner[33:67, 33:67] = True
    by_sample = [inner[tuple(places(points[:24]).T)].all() for points in drawn(chosen, count=600)]
    # Without erosion all clicks of a sample can lie inside by chance.
    assert 0.88 < np.mean(by_sample) < 0.985
    reached = np.zeros(chosen.target.shape, int)
    certain = replace(SAMPLER, eroded=1.0)
    for points in drawn(chosen, certain, 1500):
        np.add.at(reached, tuple(places(points[:24]).T), 1)
    assert not reached[~inner].any()
    assert (reached[33] > 0).any() and (reached[66] > 0).any(), "up to three pixels from the edge"


def test_erosion_that_leaves_nothing_is_not_done() -> None:
    thin = layer_of((50, 50), (10, 10, 14, 40))
    chosen = ALONE.choose(annotated(thin), np.random.default_rng(0))
    for points in drawn(chosen, replace(SAMPLER, eroded=1.0), 20):
        assert len(places(points[:24])) >= 1


def test_numbers_fall_off_geometrically() -> None:
    samples = drawn(chosen_square(), count=4000)
    positive = np.array([len(places(points[:24])) for points in samples])
    negative = np.array([len(places(points[24:])) for points in samples])
    weights = 0.8 ** np.arange(25)
    assert positive.mean() == pytest.approx(
        1 + (weights[:24] @ np.arange(24)) / weights[:24].sum(), rel=0.05
    )
    assert negative.mean() == pytest.approx((weights @ np.arange(25)) / weights.sum(), rel=0.05)
    assert (positive == 1).mean() == pytest.approx(0.201, abs=0.025)
    assert (negative == 0).mean() == pytest.approx(0.201, abs=0.025)
    assert positive.max() > 18 and negative.max() > 18


def test_probabilities_of_the_original(shared: Path) -> None:
    case = json.loads((shared / "goldens/clicks_losses_metrics/case.json").read_text())
    for count in (24, 25):
        expected = np.cumsum(case[f"generate_probs_{count}_0.8"])
        np.testing.assert_allclose(cumulative(count, 0.8), expected, atol=1e-9)


def test_negative_clicks_come_from_their_sources_in_their_shares() -> None:
    chosen = chosen_square()
    square = (chosen.target == 1).astype(np.uint8)
    reach = math.ceil(0.1 * 40)
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    band = (cv2.dilate(square, kernel) > 0) & (chosen.target == 0)
    points = np.concatenate([places(p[24:]) for p in drawn(chosen, count=2500)])
    assert chosen.others is not None
    on_other = chosen.others[tuple(points.T)].mean()
    on_band = band[tuple(points.T)].mean()
    background = chosen.target == 0
    by_chance = 0.1 / background.sum()
    assert on_other == pytest.approx(0.4 + by_chance * chosen.others.sum(), abs=0.02)
    assert on_band == pytest.approx(0.5 + by_chance * band.sum(), abs=0.02)


def test_without_other_objects_their_share_is_background() -> None:
    chosen = chosen_square(others=False)
    points = np.concatenate([places(p[24:]) for p in drawn(chosen, count=1500)])
    far = (points[:, 1] > 80).mean()
    area = (chosen.target[:, 81:] == 0).sum() / (chosen.target == 0).sum()
    assert far == pytest.approx(0.5 * area, abs=0.03)


def test_merged_objects_get_a_click_each_before_the_rest() -> None:
    picture = scene()
    choice = ObjectChoice(smallest=1, merge=1.0)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        chosen = choice.choose(picture, rng)
        positive = places(SAMPLER.sample(chosen, rng)[:24])
        for mask, point in zip(chosen.positives, positive, strict=False):
            assert mask[tuple(point)]


def test_what_deserves_a_negative_click_gets_one() -> None:
    square = chosen_square()
    corner = np.zeros(square.target.shape, np.bool_)
    corner[:20, :20] = True
    chosen = replace(square, negatives=(corner,))
    with_negatives = 0
    for points in drawn(chosen, count=60):
        negative = places(points[24:])
        assert corner[tuple(negative[0])]
        with_negatives += len(negative) > 1
    assert with_negatives > 30


def test_a_sample_of_background_has_negative_clicks_only() -> None:
    chosen = Chosen(np.zeros((40, 50), np.int8), (), (), None)
    samples = drawn(chosen, count=50)
    assert not any(len(places(points[:24])) for points in samples)
    assert any(len(places(points[24:])) > 3 for points in samples)
    all_ignored = Chosen(np.full((40, 50), -1, np.int8), (), (), None)
    assert all((points == -1).all() for points in drawn(all_ignored, count=10))


def test_the_first_click_may_lie_at_the_centre() -> None:
    chosen = chosen_square()
    depth = cv2.distanceTransform((chosen.target == 1).astype(np.uint8), cv2.DIST_L2, 5)
    for points in drawn(chosen, PointSampler(centred=True), 60):
        row, column = points[0, :2].astype(int)
        assert depth[row, column] > depth.max() / 1.7 - 3.5, "measured on the eroded object"
        assert points[0, 2] == 0
        rest = len(places(points[:24]))
        assert (points[1:rest, 2] == 100).all()


def test_the_centre_of_every_merged_object() -> None:
    choice = ObjectChoice(smallest=1, merge=1.0)
    sampler = PointSampler(centred=True)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        chosen = choice.choose(scene(), rng)
        points = sampler.sample(chosen, rng)
        assert points[:2, 2].tolist() == [0, 0]
        for mask, (row, column, _) in zip(chosen.positives, points[:2].astype(int), strict=True):
            depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
            assert depth[row, column] > depth.max() / 1.7 - 3.5


def test_other_numbers_of_points() -> None:
    sampler = PointSampler(most=10, gamma=0.7)
    samples = drawn(chosen_square(), sampler, 500)
    assert all(points.shape == (20, 3) for points in samples)
    assert max(len(places(points[:10])) for points in samples) == 10
    one = PointSampler(most=1)
    assert all(len(places(points[:1])) == 1 for points in drawn(chosen_square(), one, 20))
