"""The SimpleClick network: what it sees, at which sizes, and what learns."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.simpleclick_network import SimpleClickNetwork
from tests.models.simpleclick_networks import TINY, calibrated

POINTS = torch.tensor([[[40.0, 60, 0], [-1, -1, -1], [100, 100, 1], [-1, -1, -1]]])


@pytest.fixture(scope="module")
def network() -> SimpleClickNetwork:
    return calibrated()


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.rand(1, 3, 224, 448, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("patch", [14, 16])
def test_logits_have_the_pictures_size(patch: int) -> None:
    config = replace(TINY, shape=replace(TINY.shape, patch=patch, side=224))
    network = SimpleClickNetwork(config).eval()
    for size in ((224, 224), (448, 224)):
        with torch.inference_mode():
            logits = network(torch.rand(2, 3, *size), POINTS.expand(2, -1, -1))
        assert logits.instances.shape == (2, 1, *size)
        assert logits.aux is None


def test_everything_shown_counts(network: SimpleClickNetwork, image: torch.Tensor) -> None:
    nothing = torch.zeros(1, 1, 224, 448)
    with torch.inference_mode():
        plain = network(image, POINTS).instances
        assert torch.equal(network(image, POINTS, nothing).instances, plain)
        for other in (
            network(1 - image, POINTS),
            network(image, POINTS.flip(1)),
            network(image, POINTS, nothing + 1),
        ):
            assert not torch.allclose(other.instances, plain, atol=1e-3)


def test_padding_of_clicks_does_not_count(network: SimpleClickNetwork, image: torch.Tensor) -> None:
    short = POINTS[:, ::2]
    with torch.inference_mode():
        assert torch.equal(network(image, short).instances, network(image, POINTS).instances)


def test_forward_is_answer_of_the_normalised(
    network: SimpleClickNetwork, image: torch.Tensor
) -> None:
    with torch.inference_mode():
        wanted = network(image, POINTS).instances
        assert torch.equal(network.answer(network.normalised(image), POINTS).instances, wanted)
    mean = torch.tensor(TINY.norm_mean_std[0]).view(1, 3, 1, 1)
    assert network.normalised(mean).abs().max() < 1e-6


@pytest.mark.parametrize("upsample, channels", [("x1", 8), ("x2", 4), ("x4", 2)])
def test_all_but_what_is_dead_learns(upsample: str, channels: int) -> None:
    config = replace(TINY, upsample=upsample, channels=channels)
    network = SimpleClickNetwork(config).train()
    network(torch.rand(1, 3, 224, 224), POINTS).instances.square().mean().backward()
    without = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    unused = {"x1": ("head.up_conv1", "head.up_conv2"), "x2": ("head.up_conv2",), "x4": ()}
    dead = ("backbone.cls_token", "backbone.fc_norm", "backbone.head", *unused[upsample])
    assert without == {name for name in network.state_dict() if name.startswith(dead)}


def test_other_sizes_are_refused(network: SimpleClickNetwork) -> None:
    with pytest.raises(ValueError, match="multiples of 224, and this one is 400 x 400"):
        network(torch.zeros(1, 3, 400, 400), POINTS)
