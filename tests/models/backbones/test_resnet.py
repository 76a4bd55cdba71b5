"""ResNet with the paper's stem: strides, dilation, tensors."""

from __future__ import annotations

import pytest
import torch

from models.backbones.resnet import PlainResNet, StageShape

USUAL = (StageShape(), StageShape(stride=2), StageShape(stride=2), StageShape(stride=2))


@pytest.mark.parametrize(
    ("depth", "values", "channels"),
    [(34, 21_284_672, (64, 128, 256, 512)), (50, 23_508_032, (256, 512, 1024, 2048))],
)
def test_it_is_the_published_network(depth: int, values: int, channels: tuple[int, ...]) -> None:
    """The numbers of parameters of the usual ones less their classifiers."""
    with torch.device("meta"):
        network = PlainResNet(depth, USUAL)
    assert sum(parameter.numel() for parameter in network.parameters()) == values
    assert network.channels == channels


def test_stages_come_out_at_their_strides() -> None:
    network = PlainResNet(34, USUAL).eval()
    with torch.inference_mode():
        found = network(torch.zeros(1, 3, 64, 96))
    assert [tuple(features.shape[1:]) for features in found] == [
        (64, 16, 24),
        (128, 8, 12),
        (256, 4, 6),
        (512, 2, 3),
    ]


def test_dilation_of_the_first_block_is_half_unless_said_otherwise() -> None:
    shapes = (StageShape(), StageShape(dilation=4), StageShape(dilation=1, first_dilation=2))
    with torch.device("meta"):
        network = PlainResNet(50, shapes, inputs=6)
    assert network.conv1.weight.shape == (64, 6, 7, 7)
    dilations = [
        [block.conv2.dilation[0] for block in network.get_submodule(f"layer{stage}")]
        for stage in (2, 3)
    ]
    assert dilations == [[2, 4, 4, 4], [2, 1, 1, 1, 1, 1]]
    assert not hasattr(network, "layer4")
