"""ClickAttention's losses against what their formulas say, written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from backend.training.affinity import discriminative_affinity, weight_supervision

STAGES = {2: (8, 2, 2), 3: (4, 5, 2)}
"""Side of the token grid, heads, blocks."""


def material(seed: int = 0) -> tuple[Tensor, dict[int, list[Tensor]], dict[int, Tensor]]:
    """Logits, attention and weights of two samples; keys lie on a grid of 2 x 2."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 1, 32, 32, generator=generator)
    attention = {
        stage: [
            torch.randn(2, heads, side * side, 4, generator=generator).softmax(dim=3)
            for _ in range(blocks)
        ]
        for stage, (side, heads, blocks) in STAGES.items()
    }
    weights = {
        stage: torch.rand(2, 1, side, side, generator=generator)
        for stage, (side, _, _) in STAGES.items()
    }
    return logits, attention, weights


def spelled_out(
    logits: Tensor, attention: dict[int, list[Tensor]], weights: dict[int, Tensor]
) -> list[float]:
    """The error of each sample, matrix by matrix."""
    found = []
    for sample in range(2):
        stages = []
        for stage, (side, _, _) in STAGES.items():
            probability = logits[sample : sample + 1].sigmoid()
            f, keys = (
                F.interpolate(probability, (n, n), mode="bilinear", align_corners=True).flatten()
                for n in (side, 2)
            )
            matrix = torch.stack([one[sample] for one in attention[stage]]).mean(dim=(0, 1))
            w = weights[stage][sample].flatten()[:, None]
            ours = (matrix * w) @ keys - f
            rest = (matrix * (1 - w)) @ (1 - keys) - (1 - f)
            stages.append((ours.abs() + rest.abs()).mean().item())
        found.append(float(np.mean(stages)))
    return found


@pytest.mark.parametrize("positives", [[2, 5], [1, 2], [0, 1]])
def test_affinity_is_the_mean_over_all_samples_of_the_error_of_those_with_weights(
    positives: list[int],
) -> None:
    given = material()
    errors = spelled_out(*given)
    wanted = sum(e for e, count in zip(errors, positives, strict=True) if count > 1) / 2
    loss = discriminative_affinity(*given, torch.tensor(positives))
    assert loss.item() == pytest.approx(wanted, rel=1e-5)


def test_affinity_of_grids_that_are_not_square() -> None:
    matrix = torch.rand(1, 2, 4 * 8, 2 * 4).softmax(dim=3)
    flat = torch.zeros(1, 1, 16, 32)
    loss = discriminative_affinity(
        flat, {3: [matrix]}, {3: torch.ones(1, 1, 4, 8)}, torch.tensor([2])
    )
    # All probabilities are one half: with weights of one, the object arrives and the rest does not.
    assert loss.item() == pytest.approx(0.5, rel=1e-5)


def test_affinity_teaches_logits_and_attention_but_not_weights() -> None:
    logits, attention, weights = material()
    leaves = [logits, *weights.values(), *(one for found in attention.values() for one in found)]
    for leaf in leaves:
        leaf.requires_grad_()
    discriminative_affinity(logits, attention, weights, torch.tensor([2, 2])).backward()
    assert logits.grad is not None and logits.grad.any()
    assert all(one.grad is not None for found in attention.values() for one in found)
    assert all(map_.grad is None for map_ in weights.values())


def test_stages_without_weights_are_passed_over() -> None:
    logits, attention, weights = material()
    counts = torch.tensor([2, 3])
    before = discriminative_affinity(logits, attention, weights, counts)
    attention[1] = [torch.rand(2, 1, 256, 4)]
    assert torch.equal(discriminative_affinity(logits, attention, weights, counts), before)


def test_right_weights_are_without_error_and_wrong_ones_are_not() -> None:
    target = torch.zeros(2, 1, 64, 64)
    target[:, :, :32] = 1
    right = {
        stage: F.interpolate(target, (side, side), mode="nearest")
        for stage, (side, _, _) in STAGES.items()
    }
    counts = torch.tensor([2, 2])
    assert weight_supervision(right, target.to(torch.int8), counts).item() == 0
    wrong = {stage: 1 - map_ for stage, map_ in right.items()}
    assert weight_supervision(wrong, target, counts).item() == 1
    assert weight_supervision(wrong, target, torch.tensor([1, 2])).item() == 0.5


def test_what_nobody_knows_is_no_error() -> None:
    target = torch.full((1, 1, 64, 64), -1, dtype=torch.int8)
    target[:, :, :, 32:] = 1
    weights = {3: torch.zeros(1, 1, 4, 4, requires_grad=True)}
    loss = weight_supervision(weights, target, torch.tensor([2]))
    assert loss.item() == 0.5
    loss.backward()
    gradient = weights[3].grad
    assert gradient is not None
    assert not gradient[..., :2].any()
    assert bool((gradient[..., 2:] < 0).all())
