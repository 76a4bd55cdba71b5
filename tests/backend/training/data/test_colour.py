from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from backend.training.data.augmentation import Augmentation
from backend.training.data.colour import (
    BrightnessContrast,
    ColourCast,
    Greyscale,
    HueSaturation,
    ShiftRgb,
)
from backend.training.data.degradation import (
    CutOut,
    FewerPixels,
    GaussianBlur,
    Jpeg,
    MotionBlur,
    Noise,
)
from backend.training.data.source import IGNORE, Image
from tests.backend.training.data.pictures import scene

RECOLOURING: Sequence[Augmentation] = (
    BrightnessContrast(p=1),
    ShiftRgb(p=1),
    ColourCast(p=1),
    HueSaturation(p=1),
    Greyscale(p=1),
    GaussianBlur(p=1),
    MotionBlur(p=1),
    Jpeg(p=1),
    Noise(p=1),
    FewerPixels(p=1),
)


def ramp() -> Image:
    """Every value once, the three channels alike: 16x16x3."""
    return np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)


def apply(step: Augmentation, image: Image, seed: int) -> Image:
    return step(image, (), np.random.default_rng(seed))[0]


@pytest.mark.parametrize("step", RECOLOURING, ids=repr)
def test_only_the_image_changes_and_the_same_way_each_time(step: Augmentation) -> None:
    picture = scene()
    changed = 0
    for seed in range(10):
        image, layers = step(picture.image, picture.layers, np.random.default_rng(seed))
        again, _ = step(picture.image, picture.layers, np.random.default_rng(seed))
        assert image.shape == picture.image.shape and image.dtype == np.uint8
        assert layers is picture.layers
        np.testing.assert_array_equal(image, again)
        changed += bool((image != picture.image).any())
    assert changed >= 9
    np.testing.assert_array_equal(picture.image, scene().image)


@pytest.mark.parametrize("step", [*RECOLOURING, CutOut(p=1)], ids=repr)
def test_the_probability_is_kept(step: Augmentation) -> None:
    picture = scene()
    never = type(step)(p=0)  # type: ignore[call-arg]
    image, layers = never(picture.image, picture.layers, np.random.default_rng(0))
    assert image is picture.image and layers is picture.layers
    half = type(step)(p=0.5)  # type: ignore[call-arg]
    kept = sum(apply(half, picture.image, seed) is picture.image for seed in range(200))
    assert kept / 200 == pytest.approx(0.5, abs=0.12)


def test_brightness_and_contrast_are_a_line_within_their_ranges() -> None:
    step = BrightnessContrast(brightness=(-0.25, 0.25), contrast=(-0.15, 0.40), p=1)
    slopes, offsets = [], []
    for seed in range(300):
        values = apply(step, ramp(), seed)[..., 0].ravel().astype(float)
        free = np.flatnonzero((values > 0) & (values < 255))
        slope, offset = np.polyfit(free, values[free], 1)
        assert np.abs(values[free] - (slope * free + offset)).max() < 1.1
        slopes.append(slope)
        offsets.append(offset / 255)
    assert 0.84 < min(slopes) < 0.87 and 1.37 < max(slopes) < 1.41
    assert -0.26 < min(offsets) < -0.23 and 0.23 < max(offsets) < 0.26


def test_channels_are_shifted_apart_by_no_more_than_the_limit() -> None:
    apart = 0
    for seed in range(50):
        shifted = apply(ShiftRgb(10, p=1), ramp(), seed).astype(int) - ramp()
        inner = shifted.reshape(256, 3)[20:236]
        assert (inner == inner[0]).all() and np.abs(inner).max() <= 10
        apart += len(set(inner[0].tolist())) > 1
    assert apart > 45


def test_a_cast_keeps_the_order_of_values_and_black() -> None:
    for seed in range(30):
        cast = apply(ColourCast(p=1), ramp(), seed).reshape(256, 3).astype(int)
        assert (np.diff(cast, axis=0) >= 0).all() and not cast[0].any()


def test_hue_turns_and_greys_stay_grey() -> None:
    step = HueSaturation(hue=15, saturation=(1, 1), p=1)
    np.testing.assert_allclose(apply(step, ramp(), 1).astype(int), ramp(), atol=1)
    image = np.zeros((2, 2, 3), np.uint8)
    image[..., 0] = 200
    turned = {tuple(apply(step, image, seed)[0, 0].tolist()) for seed in range(60)}
    assert len(turned) > 8 and all(red == 200 and not (g and b) for red, g, b in turned)


def test_grey_pictures_have_equal_channels() -> None:
    grey = apply(Greyscale(p=1), scene().image, 0)
    assert (grey == grey[..., :1]).all()
    expected = cv2.cvtColor(scene().image, cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(grey[..., 0], expected)


@pytest.mark.parametrize("step", [GaussianBlur(p=1), MotionBlur(p=1), FewerPixels(p=1)])
def test_blur_takes_detail_and_leaves_edges_in_place(step: Augmentation) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    cv2.circle(image, (32, 32), 16, (240, 240, 240), -1)
    rows, columns = np.mgrid[:64, :64]
    for seed in range(20):
        blurred = apply(step, image, seed).astype(float)[..., 0]
        assert np.abs(np.diff(blurred, axis=1)).max() <= np.abs(np.diff(image[..., 0])).max()
        centre = [(blurred * where).sum() / blurred.sum() for where in (rows, columns)]
        np.testing.assert_allclose(centre, [32, 32], atol=0.5)
        assert blurred.mean() == pytest.approx(image.mean(), rel=0.02)


def test_motion_blur_goes_along_a_line() -> None:
    image = np.zeros((41, 41, 3), np.uint8)
    image[20, 20] = 255
    spreads = []
    for seed in range(20):
        weights = apply(MotionBlur((9, 9), p=1), image, seed)[..., 0].astype(float)
        rows, columns = np.nonzero(weights)
        (small, large), _ = np.linalg.eigh(np.cov(rows, columns))
        assert small < 0.35 and large > 4
        spreads.append(int(np.ptp(rows)))
    assert min(spreads) <= 2 and max(spreads) >= 6, "in every direction"


def test_compression_keeps_colours_where_they_are() -> None:
    image = scene().image
    for seed in range(10):
        coded = apply(Jpeg((80, 95), p=1), image, seed).astype(int)
        assert np.abs(coded - image).mean() < 3
    rough = np.abs(apply(Jpeg((10, 10), p=1), image, 0).astype(int) - image).mean()
    fine = np.abs(apply(Jpeg((95, 95), p=1), image, 0).astype(int) - image).mean()
    assert rough > 2 * fine


def test_noise_is_normal_with_its_deviation() -> None:
    image = np.full((200, 200, 3), 128, np.uint8)
    noise = apply(Noise((10, 10), p=1), image, 4).astype(int) - 128
    assert noise.mean() == pytest.approx(0, abs=0.2)
    assert noise.std() == pytest.approx(10, abs=0.3)
    assert (np.abs(noise) > 20).mean() == pytest.approx(0.0455, abs=0.01)


def test_holes_are_of_one_colour_and_to_be_ignored() -> None:
    picture = scene()
    for seed in range(20):
        step = CutOut(most=1, side=(0.2, 0.3), p=1)
        image, (layer,) = step(picture.image, picture.layers, np.random.default_rng(seed))
        hole = layer == IGNORE
        assert 0.03 < hole.mean() < 0.1
        assert (image[hole] == image[hole][0]).all()
        np.testing.assert_array_equal(image[~hole], picture.image[~hole])
        np.testing.assert_array_equal(layer[~hole], picture.layers[0][~hole])
    np.testing.assert_array_equal(picture.image, scene().image)
    assert not (picture.layers[0] == IGNORE).any()
    _, (layer,) = CutOut(value=0, p=1)(picture.image, picture.layers, np.random.default_rng(1))
    assert not (layer == IGNORE).any() and (layer == 0).sum() > (picture.layers[0] == 0).sum()
