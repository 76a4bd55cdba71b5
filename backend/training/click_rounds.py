"""Simulated interaction before the pass that is learned from.

Sofiiuk, Petrov, Konushin, "Reviving Iterative Training with Mask Guidance for Interactive
Segmentation", 2021, section 3.2: the network answers a few times without gradient, and each
answer gets a click on its error. What is learned from then sees all clicks and the last answer.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from backend.training.next_click import Slots, add_clicks, add_clicks_batched


@dataclass(frozen=True)
class Rounds:
    """How many answers there are before the one that is learned from, for a whole batch.

    Any number from `least` to `most`, all alike; `fewer_at_first` less of both where some sample
    has not yet two positive clicks (ClickAttention, whose weights begin with the second). With
    probability `afresh` there is none, and the sampled clicks give way to a single one on the
    whole object. `slots` says where simulated clicks go among the points.
    """

    least: int = 0
    most: int = 3
    slots: Slots = "from-end"
    fewer_at_first: int = 0
    afresh: float = 0.0


def simulated(
    network: nn.Module, images: Tensor, labels: Tensor, points: Tensor, rounds: Rounds
) -> tuple[Tensor, Tensor]:
    """The points [B, 2P, 3] and previous probabilities [B, 1, H, W] after the rounds.

    `images` [B, 3, H, W] are RGB in [0, 1], `labels` [B, 1, H, W] of 1, 0 and -1. The network
    answers in evaluation mode and is left in the mode that it came in. Draws from the global
    generators.
    """
    previous = torch.zeros(labels.shape, device=labels.device)
    if rounds.afresh and random.random() < rounds.afresh:
        none = torch.full_like(points, -1)
        return next_points(none, previous, labels, 1, rounds.slots), previous
    mode = network.training
    network.eval()
    with torch.no_grad():
        for index in range(1, _count(points, rounds) + 1):
            previous = network(images, points, previous).instances.float().sigmoid()
            points = next_points(points, previous, labels, index, rounds.slots)
    network.train(mode)
    return points, previous


def next_points(
    points: Tensor, probabilities: Tensor, labels: Tensor, index: int, slots: Slots
) -> Tensor:
    """The points with click number `index`: found on the device, where there is one."""
    if labels.device.type != "cpu":
        draws = torch.rand(len(points))
        return add_clicks_batched(points, probabilities, labels, index, draws, slots=slots)
    return add_clicks(points, probabilities, labels, index, np.random.randint, slots=slots)


def _count(points: Tensor, rounds: Rounds) -> int:
    count = random.randint(rounds.least, rounds.most)
    if rounds.fewer_at_first:
        positive = points[:, : points.shape[1] // 2, :2].amax(dim=2) >= 0
        if bool((positive.sum(dim=1) < 2).any()):
            count -= rounds.fewer_at_first
    return max(count, 0)
