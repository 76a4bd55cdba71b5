from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.errors import InvalidImage
from backend.training.data import published
from backend.training.data.augmentation import (
    AlignedCrop,
    Flip,
    Pad,
    RandomCrop,
    RandomResize,
    Rotate90,
    ShiftScaleRotate,
)
from backend.training.data.copy_paste import CopyPaste
from backend.training.data.mixture import Mixture
from backend.training.data.objects import ObjectChoice
from backend.training.data.points import PointSampler
from backend.training.data.sample import SampleSettings, draw, sample
from backend.training.data.shards import Shards
from tests.backend.training.data.pictures import (
    PALETTE,
    Listed,
    annotated,
    layer_of,
    scene,
    write_shard,
)

SETTINGS = SampleSettings(
    (RandomResize(), Flip(), Pad(96, 128), RandomCrop(96, 128)),
    objects=ObjectChoice(smallest=50),
)
SCENES = Listed([replace(scene(seed=seed), key=str(seed)) for seed in range(5)])


def test_target_and_clicks_fit_the_image() -> None:
    for number in range(60):
        drawn = draw(SCENES, 1, number, SETTINGS)
        assert drawn.image.shape == (96, 128, 3) and drawn.target.shape == (96, 128)
        assert (drawn.image.dtype, drawn.target.dtype) == (np.uint8, np.int8)
        points = drawn.points[drawn.points[:, 0] >= 0].astype(int)
        assert (
            drawn.target[tuple(drawn.points[:24][drawn.points[:24, 0] >= 0, :2].T.astype(int))] == 1
        ).all()
        on_object = drawn.target[points[:, 0], points[:, 1]] == 1
        grey = np.abs(drawn.image[points[:, 0], points[:, 1]].astype(int) - PALETTE[0]).max(axis=1)
        assert not (on_object & (grey == 0)).any(), "no click on grey ground is positive"


def test_samples_are_functions_of_seed_and_number() -> None:
    first = [draw(SCENES, 3, number, SETTINGS) for number in range(20)]
    again = [draw(SCENES, 3, number, SETTINGS) for number in reversed(range(20))][::-1]
    other = [draw(SCENES, 4, number, SETTINGS) for number in range(20)]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.target, b.target)
        np.testing.assert_array_equal(a.points, b.points)
    assert any((a.points != b.points).any() for a, b in zip(first, other, strict=True))
    assert len({drawn.key for drawn in first}) > 2


def test_a_sample_of_a_given_picture() -> None:
    for index in range(5):
        found = sample(SCENES, index, np.random.default_rng(0), SETTINGS)
        assert (found.key, found.source) == (str(index), "scene")


def test_mixtures_decide_which_picture() -> None:
    mixture = Mixture(SCENES, np.array([0, 0, 1.0, 0, 0]))
    assert {draw(mixture, 0, number, SETTINGS).key for number in range(10)} == {"2"}


def test_crops_without_an_object_are_drawn_again_or_kept_as_background() -> None:
    """The object lies in one corner of a large picture."""
    source = Listed([annotated(layer_of((400, 400), (0, 0, 60, 60)))])
    crops = replace(SETTINGS, augmentations=(RandomCrop(80, 80),))
    without = replace(crops, objects=ObjectChoice(smallest=1, empty=0.0), tries=1000)
    assert all((draw(source, 0, number, without).target == 1).any() for number in range(30))
    certain = replace(crops, objects=ObjectChoice(smallest=1, empty=1.0))
    found = [(draw(source, 0, number, certain).target == 1).any() for number in range(200)]
    assert 0.02 < np.mean(found) < 0.25
    never = replace(crops, objects=ObjectChoice(smallest=1, empty=0.0), tries=2)
    assert any(not draw(source, 0, number, never).target.any() for number in range(20))


def test_pasting_takes_pictures_of_the_same_source() -> None:
    pasting = replace(SETTINGS, copy_paste=CopyPaste(p=1.0, smallest=100), augmentations=())
    images = [draw(SCENES, 0, number, pasting).image for number in range(20)]
    plain = [
        draw(SCENES, 0, number, replace(pasting, copy_paste=None)).image for number in range(20)
    ]
    originals = {picture.image.tobytes() for picture in SCENES.pictures}
    assert all(image.tobytes() in originals for image in plain)
    assert sum(image.tobytes() not in originals for image in images) > 15


def test_samples_of_shards(tmp_path: Path) -> None:
    shards = Shards([write_shard(tmp_path / "s.tar", 4)])
    drawn = draw(shards, 0, 0, SETTINGS)
    assert (drawn.target == 1).any() and drawn.source == "discs"


def test_a_picture_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "s.tar", 1)
    shards = Shards([path])
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(InvalidImage):
        draw(shards, 0, 0, SETTINGS)


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        (published.ritm_coco_lvis(), (320, 480)),
        (published.ritm_coco_lvis(448, 448), (448, 448)),
        (published.ritm_sbd(), (320, 480)),
        (published.fbrs_sbd(), (320, 480)),
        (published.focalclick(), (256, 256)),
        (published.focalclick(512, colours=True), (512, 512)),
        (published.focalclick(combined=True, faithful=True), (256, 256)),
    ],
)
def test_published_settings_make_samples(settings: SampleSettings, size: tuple[int, int]) -> None:
    source = Listed([scene(360, 500, seed=seed) for seed in range(3)])
    found = [draw(source, 0, number, settings) for number in range(12)]
    assert all(one.image.shape == (*size, 3) and one.target.shape == size for one in found)
    assert np.mean([(one.target == 1).any() for one in found]) > 0.8
    assert all(one.points.shape == (2 * settings.points.most, 3) for one in found)


def test_published_settings_are_the_papers() -> None:
    coco, sbd, fbrs = published.ritm_coco_lvis(), published.ritm_sbd(), published.fbrs_sbd()
    assert coco.augmentations[0] == RandomResize((0.75, 1.40))
    assert sbd.augmentations[:4] == (
        RandomResize((0.75, 1.25)),
        Flip("any", p=0.5),
        Rotate90(p=0.5),
        ShiftScaleRotate(0.03, 0.0, 3.0, 0.75),
    )
    assert (coco.objects.smallest, coco.objects.empty, coco.objects.stuff) == (1000, 0.05, 0.30)
    assert (sbd.objects.smallest, sbd.objects.empty, sbd.objects.fill) == (80, 0.01, 0.08)
    assert coco.points == sbd.points == PointSampler(24, 0.8)
    assert fbrs.points == PointSampler(10, 0.7)
    focal = published.focalclick()
    assert focal.augmentations[0] == AlignedCrop(256, 0.8, 0.4, (0.3, 1.3))
    assert published.focalclick(combined=True).augmentations[0] == AlignedCrop(
        256, 1.0, 0.4, (0.5, 1.3)
    )
    assert focal.objects.stuff == 0.20 and focal.points.centred
