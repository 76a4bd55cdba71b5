"""Drawn strokes correct what they are meant to correct, and are the same for the same chance."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from backend.training.scribbles import (
    ScribbleSampler,
    boundary,
    curves,
    middle_line,
    perturbed,
)

Mask = npt.NDArray[np.bool_]
SIZE = (160, 200)
NOTHING = np.zeros(SIZE, np.bool_)


def ellipse(x: int, y: int, width: int, height: int) -> Mask:
    drawn = cv2.ellipse(np.zeros(SIZE, np.uint8), (x, y), (width, height), 0, 0, 360, 1, -1)
    return drawn > 0


OBJECT = ellipse(90, 80, 60, 40)
MOVED = ellipse(120, 80, 60, 40)
ONLY_CORRECTIONS = ScribbleSampler(anywhere=0.0)


def near(region: Mask, pixels: int) -> Mask:
    return cv2.dilate(region.view(np.uint8), np.ones((2 * pixels + 1,) * 2, np.uint8)) > 0


@pytest.mark.parametrize("robot", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_strokes_lie_where_the_mask_is_wrong(robot: float, seed: int) -> None:
    sampler = ScribbleSampler(robot=robot, anywhere=0.0)
    positive, negative = sampler.sample(OBJECT, MOVED, np.random.default_rng(seed)) > 0
    assert positive.any() or negative.any()
    assert not (positive & ~near(OBJECT & ~MOVED, 4)).any()
    assert not (negative & ~near(MOVED & ~OBJECT, 4)).any()


def test_the_robot_needs_a_mask_to_correct() -> None:
    always = ScribbleSampler(robot=1.0, anywhere=0.0)
    never = ScribbleSampler(robot=0.0, anywhere=0.0)
    for seed in range(4):
        drawn = [
            sampler.sample(OBJECT, NOTHING, np.random.default_rng(seed))
            for sampler in (always, never)
        ]
        assert np.array_equal(*drawn)
        assert drawn[0][0].any()


def test_the_same_chance_draws_the_same_strokes() -> None:
    sampler = ScribbleSampler()
    one, same, other = (
        sampler.sample(OBJECT, MOVED, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert one.shape == (2, *SIZE)
    assert one.dtype == np.uint8
    assert set(np.unique(one)) == {0, 1}
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_where_nothing_is_wrong_strokes_come_from_anywhere() -> None:
    positive, negative = ONLY_CORRECTIONS.sample(OBJECT, OBJECT, np.random.default_rng(0)) > 0
    assert positive.any() and negative.any()
    assert not (positive & ~near(OBJECT, 4)).any()
    assert (negative & ~OBJECT).sum() > 0.8 * negative.sum()


def test_a_small_object_may_have_no_stroke() -> None:
    dot = ellipse(50, 50, 2, 2)
    positive, negative = ONLY_CORRECTIONS.sample(dot, NOTHING, np.random.default_rng(0))
    assert not positive.any()
    assert negative.any()


@pytest.mark.parametrize("kind", [boundary, middle_line, curves])
def test_every_kind_of_stroke_stays_near_its_region(kind: object) -> None:
    drawn = [kind(OBJECT, np.random.default_rng(seed)) > 0 for seed in range(5)]  # type: ignore[operator]
    assert sum(plane.any() for plane in drawn) >= 3
    for plane in drawn:
        assert not (plane & ~near(OBJECT, 4)).any()
        assert plane.sum() < 0.6 * OBJECT.sum()


def overlap(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("quality", [0.5, 0.7, 0.9])
def test_a_perturbed_mask_is_as_bad_as_wanted(quality: float) -> None:
    found = [
        overlap(perturbed(OBJECT, np.random.default_rng(seed), quality), OBJECT)
        for seed in range(4)
    ]
    assert max(found) < quality
    assert min(found) > quality - 0.35


def test_how_bad_is_drawn_too() -> None:
    found = [overlap(perturbed(OBJECT, np.random.default_rng(seed)), OBJECT) for seed in range(8)]
    assert max(found) < 0.95
    assert max(found) - min(found) > 0.1


def test_the_truth_is_left_alone() -> None:
    before = OBJECT.copy()
    perturbed(OBJECT, np.random.default_rng(0), 0.5)
    assert np.array_equal(OBJECT, before)
    narrow = np.ones((2, 50), np.bool_)
    assert np.array_equal(perturbed(narrow, np.random.default_rng(0), 0.5), narrow)
