"""Geometry moves image and layers together: the colours of the test pictures say their ids."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.training.data.augmentation import (
    AlignedCrop,
    Augmentation,
    Flip,
    Layers,
    Pad,
    RandomCrop,
    RandomResize,
    Resize,
    Rotate90,
    ShiftScaleRotate,
    augment,
)
from backend.training.data.source import IGNORE, Image
from tests.backend.training.data.pictures import PALETTE, away_from_edges, layer_of, scene

GEOMETRY: Sequence[Augmentation] = (
    RandomResize((0.5, 1.6)),
    Resize(70, 200),
    Pad(150, 150),
    RandomCrop(64, 96),
    RandomCrop(500, 500),
    Flip("horizontal", p=1),
    Flip("vertical", p=1),
    Flip("any", p=1),
    Rotate90(p=1),
    ShiftScaleRotate(p=1),
    ShiftScaleRotate(shift=0.2, scale=0.3, degrees=90, p=1),
    AlignedCrop(128),
    AlignedCrop(96, mean=1.0, shares=(0.5, 1.3)),
)


def colours_tell_ids(image: Image, layers: Layers) -> float:
    """How much of the picture away from edges was compared; fails where colour and id differ.

    The second layer is 1 on the picture that it began with.
    """
    layer, inside = layers
    assert image.shape[:2] == layer.shape and image.dtype == np.uint8 and layer.dtype == np.int32
    inside = away_from_edges(layer, 3) & away_from_edges(inside, 3) & (inside == 1)
    # Black from beyond the border mixes into the outermost pixels.
    framed = np.zeros_like(inside)
    framed[2:-2, 2:-2] = inside[2:-2, 2:-2]
    inside = framed
    expected = PALETTE[layer]
    assert np.abs(image[inside].astype(int) - expected[inside]).max(initial=0) <= 2
    return float(inside.mean())


@pytest.mark.parametrize("step", GEOMETRY, ids=repr)
def test_image_and_layers_move_together(step: Augmentation) -> None:
    compared = []
    for seed in range(12):
        picture = scene(seed=seed)
        layers: Layers = (picture.layers[0], np.ones_like(picture.layers[0]))
        image, layers = augment([step], picture.image, layers, np.random.default_rng(seed))
        compared.append(colours_tell_ids(image, layers))
        assert image.flags.c_contiguous and all(layer.flags.c_contiguous for layer in layers)
        np.testing.assert_array_equal(picture.image, scene(seed=seed).image)
        np.testing.assert_array_equal(picture.layers[0], scene(seed=seed).layers[0])
    assert np.mean(compared) > 0.25


@given(st.lists(st.sampled_from(GEOMETRY), max_size=5), st.integers(0, 10_000))
def test_any_chain_of_them_does_too(steps: list[Augmentation], seed: int) -> None:
    picture = scene(seed=seed % 7)
    image, layers = augment(steps, picture.image, picture.layers, np.random.default_rng(seed))
    colours = {tuple(colour) for colour in PALETTE.tolist()} | {(0, 0, 0)}
    ids = set(np.unique(layers[0]).tolist())
    assert ids <= {0, 1, 2, 3, 4}
    inside = away_from_edges(layers[0], 6)
    near = [np.abs(image[inside].astype(int) - colour).max(axis=1) <= 3 for colour in colours]
    # Repeated resampling blurs edges; most of the rest is of the colours that it began with.
    assert not inside.any() or np.logical_or.reduce(near).mean() > 0.5
    again = augment(steps, picture.image, picture.layers, np.random.default_rng(seed))
    np.testing.assert_array_equal(image, again[0])
    np.testing.assert_array_equal(layers[0], again[1][0])


@pytest.mark.parametrize("step", GEOMETRY, ids=repr)
def test_ids_of_any_size_and_ignore_survive(step: Augmentation) -> None:
    layer = layer_of((120, 160), (0, 0, 60, 160))
    layer[layer == 1] = 1_234_567
    layer[60:] = IGNORE
    image = np.zeros((120, 160, 3), np.uint8)
    for seed in range(5):
        _, (moved,) = augment([step], image, (layer,), np.random.default_rng(seed))
        assert set(np.unique(moved).tolist()) <= {1_234_567, IGNORE, 0}


def test_masks_do_not_drift_against_the_image() -> None:
    """A disc's middle, drawn bright, is where the disc's mask has its middle."""
    steps = (
        RandomResize(),
        AlignedCrop(128, shares=(0.99, 1.3)),
        ShiftScaleRotate(scale=0.2, degrees=30, p=1),
    )
    drift = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        layer = np.zeros((100, 100), np.int32)
        cv2.circle(layer, tuple(rng.integers(40, 60, 2).tolist()), int(rng.integers(9, 30)), 1, -1)
        image = (255 * layer[..., None].repeat(3, 2)).astype(np.uint8)
        seen, (mask,) = steps[seed % 3](image, (layer,), rng)
        rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
        bright = seen[..., 0] / seen[..., 0].sum(dtype=float)
        drift.append(
            [(where * bright).sum() - where[mask == 1].mean() for where in (rows, columns)]
        )
    assert np.abs(np.mean(drift, axis=0)).max() < 0.05


def sizes(step: Augmentation, count: int = 1000) -> np.ndarray:
    picture = scene()
    return np.array(
        [
            augment([step], picture.image, picture.layers, np.random.default_rng(seed))[0].shape[:2]
            for seed in range(count)
        ]
    )


def test_resize_is_uniform_and_keeps_the_aspect_ratio() -> None:
    found = sizes(RandomResize((0.75, 1.40)))
    scales = found[:, 1] / 160
    assert 0.74 < scales.min() < 0.79 and 1.36 < scales.max() < 1.41
    assert scales.mean() == pytest.approx(1.075, abs=0.02)
    np.testing.assert_allclose(found[:, 0] / 120, scales, atol=0.0075)


def test_pad_centres_and_leaves_larger_sides_alone() -> None:
    picture = scene()
    image, (layer,) = Pad(150, 100, IGNORE)(picture.image, picture.layers, np.random.default_rng(0))
    assert image.shape == (150, 160, 3)
    np.testing.assert_array_equal(image[15:135], picture.image)
    assert not image[:15].any() and (layer[135:] == IGNORE).all()


def test_crops_reach_every_corner() -> None:
    columns = np.arange(160, dtype=np.int32)[None].repeat(120, 0)
    rows = np.arange(120, dtype=np.int32)[:, None].repeat(160, 1)
    corners = set()
    for seed in range(400):
        step, rng = RandomCrop(118, 159), np.random.default_rng(seed)
        _, (top, left) = step(scene().image, (rows, columns), rng)
        corners.add((int(top[0, 0]), int(left[0, 0])))
    assert corners == {(top, left) for top in range(3) for left in range(2)}


def test_flips_by_their_direction() -> None:
    layer = layer_of((4, 6), (0, 0, 1, 1))
    image = np.zeros((4, 6, 3), np.uint8)
    found: dict[str, set[int]] = {"horizontal": set(), "vertical": set(), "any": set()}
    for direction, places in found.items():
        for seed in range(40):
            step = Flip(direction, p=1)  # type: ignore[arg-type]
            _, (moved,) = step(image, (layer,), np.random.default_rng(seed))
            places.add(int(np.flatnonzero(moved)[0]))
    assert found == {"horizontal": {5}, "vertical": {18}, "any": {5, 18, 23}}


@pytest.mark.parametrize(
    ("step", "moved"),
    [(Flip("horizontal"), 0.5), (Rotate90(), 0.5 * 3 / 4), (ShiftScaleRotate(), 0.75)],
)
def test_probabilities_are_kept(step: Augmentation, moved: float) -> None:
    picture = scene()
    unchanged = sum(
        step(picture.image, picture.layers, np.random.default_rng(seed))[0] is picture.image
        for seed in range(1000)
    )
    assert unchanged / 1000 == pytest.approx(1 - moved, abs=0.05)


def test_quarter_turns_are_all_drawn() -> None:
    layer = layer_of((5, 5), (0, 0, 1, 1))
    image = np.zeros((5, 5, 3), np.uint8)
    found = [Rotate90(p=1)(image, (layer,), np.random.default_rng(seed))[1] for seed in range(400)]
    corners = np.array([int(np.flatnonzero(moved)[0]) for (moved,) in found])
    assert {int(corner) for corner in corners} == {0, 4, 20, 24}
    assert all((corners == corner).mean() > 0.18 for corner in (0, 4, 20, 24))


def crop_of(step: AlignedCrop, seed: int) -> tuple[float, float, float, float]:
    """Top, left, bottom, right of the piece, as shares of the picture (0..1)."""
    rows = np.arange(1, 201, dtype=np.int32)[:, None].repeat(300, 1)
    columns = np.arange(1, 301, dtype=np.int32)[None].repeat(200, 0)
    image = np.zeros((200, 300, 3), np.uint8)
    _, (top, left) = step(image, (rows, columns), np.random.default_rng(seed))
    assert top.shape == (step.size, step.size)
    inner_rows, inner_columns = top[top > 0], left[left > 0]
    return (
        inner_rows.min() / 200,
        inner_columns.min() / 300,
        inner_rows.max() / 200,
        inner_columns.max() / 300,
    )


def test_aligned_crops_are_pieces_of_any_shape() -> None:
    boxes = np.array([crop_of(AlignedCrop(64), seed) for seed in range(200)])
    heights, widths = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert heights.min() > 0.28 and widths.min() > 0.28
    assert np.abs(heights - widths).mean() > 0.1, "the sides are drawn apart"
    assert 0.6 < heights.mean() < 0.85
    assert (boxes[:, 3] < 0.98).mean() > 0.15, "not every piece reaches the right border"


def test_the_authors_crop_reaches_the_right_border() -> None:
    boxes = np.array([crop_of(AlignedCrop(64, faithful=True), seed) for seed in range(50)])
    assert (boxes[:, 3] > 0.97).all()
    assert boxes[:, 1].max() > 0.2 and (boxes[:, 2] < 0.95).any()


def test_shares_follow_the_truncated_normal_distribution() -> None:
    step = AlignedCrop(mean=0.8, deviation=0.4, shares=(0.3, 1.3))
    rng = np.random.default_rng(0)
    found = np.array([step._shares(rng) for _ in range(4000)]).ravel()
    assert found.min() >= 0.3 and found.max() <= 1.3
    drawn = np.random.default_rng(1).normal(0.8, 0.4, 40_000)
    kept = drawn[(drawn >= 0.3) & (drawn <= 1.3)]
    for quantile in (0.1, 0.5, 0.9):
        expected = np.quantile(kept, quantile)
        assert np.quantile(found, quantile) == pytest.approx(expected, abs=0.02)
