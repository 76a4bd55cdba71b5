"""The exponential moving average of a network's weights: what a trained network ships."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class AveragedWeights:
    """A second network whose parameters follow those of the first, slowly.

    After step s (from 0) an averaged parameter is d * itself + (1 - d) * the parameter, where d
    is `decay`, and less in the first steps: (1 + s) / (10 + s), so that the random weights of the
    start are forgotten even by a short training (as in TensorFlow's ExponentialMovingAverage with
    `num_updates`). Buffers, the statistics of batch norms among them, are copied.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Follow `network`, which has just made step number `step`."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averaged: list[Tensor] = list(self.network.parameters())
        torch._foreach_lerp_(averaged, list(network.parameters()), 1 - decay)
        for kept, current in zip(self.network.buffers(), network.buffers(), strict=True):
            kept.copy_(current)
