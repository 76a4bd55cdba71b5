from __future__ import annotations

import pytest
import torch
from torch import nn

from backend.training.ema import AveragedWeights


def test_parameters_follow_slowly_and_the_start_is_soon_forgotten() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 0.0)
    average = AveragedWeights(network, decay=0.5)
    kept = 0.0
    for step, value in enumerate([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]):
        nn.init.constant_(network.weight, value)
        average.update(network, step)
        decay = min(0.5, (1 + step) / (10 + step))
        kept = decay * kept + (1 - decay) * value
        assert average.network.weight.item() == pytest.approx(kept)
    assert decay == 0.5


def test_buffers_are_copied_and_the_average_is_ready_to_be_used() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    average = AveragedWeights(network, decay=0.99)
    network(torch.randn(4, 1, 3, 3, generator=torch.Generator().manual_seed(0)))
    average.update(network, 1000)
    assert torch.equal(average.network[1].running_var, network[1].running_var)
    assert average.network[1].num_batches_tracked.item() == 1
    assert not average.network.training
    assert network.training
    assert not any(parameter.requires_grad for parameter in average.network.parameters())
    assert not torch.equal(average.network[1].running_var, torch.ones(2))
