"""What happens to the light of a batch."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.training.photometric import Photometric

NOTHING = Photometric(**{field.name: 0.0 for field in fields(Photometric)})


def batch(count: int = 6, side: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 4, 4, generator=generator)
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")


def changed(settings: Photometric, images: Tensor, seed: int = 0) -> Tensor:
    return settings(images, np.random.default_rng(seed))


def test_without_any_change_the_picture_stays() -> None:
    images = batch()
    assert torch.allclose(changed(NOTHING, images), images, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        replace(NOTHING, chance=1.0, brightness=0.5),
        replace(NOTHING, chance=1.0, contrast=0.5),
        replace(NOTHING, chance=1.0, gamma=0.5),
        replace(NOTHING, chance=1.0, cast=0.5),
        replace(NOTHING, chance=1.0, saturation=0.5),
        replace(NOTHING, chance=1.0, grey=1.0),
        replace(NOTHING, blur=1.0),
        replace(NOTHING, noise=1.0),
        replace(NOTHING, jpeg=1.0),
    ],
    ids=["brightness", "contrast", "gamma", "cast", "saturation", "grey", "blur", "noise", "jpeg"],
)
def test_each_change_is_visible_bounded_and_reproducible(settings: Photometric) -> None:
    images = batch()
    before = images.clone()
    once, twice = changed(settings, images), changed(settings, images)
    assert torch.equal(once, twice)
    assert torch.equal(images, before)
    assert once.shape == images.shape
    assert (once >= 0).all()
    assert (once <= 1).all()
    difference = (once - images).abs().mean()
    assert 1e-4 < difference < 0.4


def test_grey_has_no_colour() -> None:
    out = changed(replace(NOTHING, chance=1.0, grey=1.0), batch())
    assert (out.amax(dim=1) - out.amin(dim=1)).max() < 1e-5


def test_compression_keeps_flat_blocks_flat() -> None:
    flat = torch.full((4, 3, 32, 32), 0.5)
    out = changed(replace(NOTHING, jpeg=1.0), flat)
    assert (out - out.mean(dim=(2, 3), keepdim=True)).abs().max() < 1e-4
    assert (out - 0.5).abs().max() < 0.15
