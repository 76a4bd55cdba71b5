"""Folding norms into convolutions."""

from __future__ import annotations

import torch
from torch import nn

from models.fold_norm import channels_last, folded
from tests.models.ritm_networks import calibrated


def test_folded_network_has_no_norm_left_and_the_same_output() -> None:
    network = calibrated()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    quick = channels_last(folded(network))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in quick.modules())
    images, points = torch.rand(2, 3, 64, 80), torch.tensor([[[20.0, 30, 0], [9, 70, 1]]] * 2)
    with torch.inference_mode():
        wanted = network(images, points).instances.sigmoid()
        actual = quick(images, points).instances.sigmoid()
    torch.testing.assert_close(actual, wanted, rtol=0, atol=1e-4)
    after = network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_a_norm_that_follows_something_else_stays() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4))
    assert isinstance(folded(network)[2], nn.BatchNorm2d)
