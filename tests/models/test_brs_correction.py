"""Corrections: zeros change nothing, and x acts where its mode says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from models.brs_correction import Shown, correction
from models.brs_options import BrsMode
from models.fbrs_network import FbrsNetwork
from models.ritm_config import RitmConfig
from models.ritm_network import RitmNetwork
from tests.models.fbrs_networks import TINY
from tests.models.ritm_networks import TINY as ITERATIVE
from tests.models.ritm_networks import calibrated

SIZE = (48, 40)
LENGTHS: dict[BrsMode, int] = {
    "RGB-BRS": 3 * 48 * 40,
    "DistMap-BRS": 2 * 48 * 40,
    "f-BRS-A": 2 * 60,
    "f-BRS-B": 2 * 60,
    "f-BRS-C": 2 * 8,
}
MODES = tuple(LENGTHS)
DEEPLAB = RitmConfig(
    kind="deeplab",
    backbone="resnet34",
    deeplab_ch=16,
    aspp_dropout=0.2,
    use_rgb_conv=False,
    use_leaky_relu=True,
    norm_radius=260,
)
"""As RITM's baseline with ResNet-34, but narrower."""


def shown(*, previous: bool) -> Shown:
    torch.manual_seed(1)
    image = torch.randn(1, 3, *SIZE)
    points = torch.tensor([[[20.0, 10, 0], [30, 30, 1]], [[20, 29, 0], [30, 9, 1]]])
    before = torch.rand(1, 1, *SIZE).repeat(2, 1, 1, 1) if previous else None
    return Shown(torch.cat([image, image.flip(3)]), points, before, mirrored=True, size=SIZE)


@pytest.fixture(scope="module", params=["fbrs", "ritm", "deeplab"])
def network(request: pytest.FixtureRequest) -> RitmNetwork:
    if request.param == "deeplab":
        torch.manual_seed(0)
        return RitmNetwork(DEEPLAB).eval().requires_grad_(False)
    config, kind = {"fbrs": (TINY, FbrsNetwork), "ritm": (ITERATIVE, RitmNetwork)}[request.param]
    return calibrated(config, 0, kind).requires_grad_(False)


def plain(network: RitmNetwork, seen: Shown) -> Tensor:
    with torch.no_grad():
        return network.answer(seen.image, seen.points, seen.previous).instances


@pytest.mark.parametrize("mode", MODES)
def test_zeros_change_nothing(network: RitmNetwork, mode: BrsMode) -> None:
    seen = shown(previous=network.config.with_prev_mask)
    corrected = correction(network, mode, seen)
    if network.config.kind == "hrnet":
        assert corrected.length == LENGTHS[mode]
    zeros = torch.zeros(corrected.length)
    assert torch.equal(corrected.logits(zeros), plain(network, seen))
    assert float(corrected.penalty(zeros)) == 0


@pytest.mark.parametrize("mode", MODES)
def test_every_x_has_a_gradient(network: RitmNetwork, mode: BrsMode) -> None:
    seen = shown(previous=network.config.with_prev_mask)
    corrected = correction(network, mode, seen)
    x = torch.zeros(corrected.length, requires_grad=True)
    (gradient,) = torch.autograd.grad(corrected.logits(x).sum(), x)
    assert gradient.shape == (corrected.length,)
    assert torch.count_nonzero(gradient) > corrected.length / 10


def test_penalties_are_the_published_ones() -> None:
    network = calibrated(TINY, 0, FbrsNetwork)
    seen = shown(previous=False)
    channels = correction(network, "f-BRS-C", seen)
    x = torch.ones(channels.length)
    assert float(channels.penalty(x)) == pytest.approx(1e-3 * (8 + 10 * 8))
    pixels = correction(network, "RGB-BRS", seen)
    assert float(pixels.penalty(torch.ones(pixels.length))) == pytest.approx(2e-3 * pixels.length)
    alone = Shown(seen.image[:1], seen.points[:1], None, mirrored=False, size=SIZE)
    once = correction(network, "RGB-BRS", alone)
    assert float(once.penalty(torch.ones(once.length))) == pytest.approx(1e-3 * once.length)


def test_a_correction_of_pixels_is_mirrored_with_the_picture() -> None:
    network = calibrated(TINY, 0, FbrsNetwork)
    seen = shown(previous=False)
    x = torch.randn(1, 3, *SIZE)
    shifted = replace(seen, image=seen.image + torch.cat([x, x.flip(3)]))
    corrected = correction(network, "RGB-BRS", seen)
    assert torch.equal(corrected.logits(x.flatten()).detach(), plain(network, shifted))


def test_logits_have_the_size_wanted() -> None:
    network = calibrated(TINY, 0, FbrsNetwork)
    other = replace(shown(previous=False), size=(30, 70))
    for mode in MODES:
        corrected = correction(network, mode, other)
        assert corrected.logits(torch.zeros(corrected.length)).shape == (2, 1, 30, 70)
