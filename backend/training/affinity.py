"""ClickAttention's two losses beside the instance loss: on its attention, and on its weights.

"ClickAttention: Click Region Similarity Guided Interactive Segmentation", arXiv 2408.06021;
values and gradients as the authors' code has them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from models.clickattention_network import FEWEST
from models.resampling import resized


def discriminative_affinity(
    logits: Tensor,
    attention: Mapping[int, Sequence[Tensor]],
    weights: Mapping[int, Tensor],
    positives: Tensor,
) -> Tensor:
    """Attention should carry the object to the object and the background to the background.

    `logits` [B, 1, H, W] are the network's answer, which is held to itself: gradients flow through
    it and through `attention`, matrices [B, heads, N, M] of each stage's blocks, and not through
    `weights`, maps [B, 1, h, w] of N = h * w tokens. Stages without weights are passed over.
    Samples with fewer than two of `positives` [B] count as without error. A scalar: the mean over
    the stages of mean absolute differences.
    """
    probability = logits.sigmoid()
    counts = _counts(positives)
    stages = [
        _stage_affinity(probability, attention[stage], map_.detach(), counts)
        for stage, map_ in weights.items()
    ]
    return torch.stack(stages).mean()


def _stage_affinity(
    probability: Tensor, attention: Sequence[Tensor], weights: Tensor, counts: Tensor
) -> Tensor:
    height, width = weights.shape[-2:]
    # Keys lie on a coarser grid than queries, both sides divided by the same number.
    division = math.isqrt(height * width // attention[0].shape[3])
    target = _object_and_rest(resized(probability, (height, width)))
    carried = _object_and_rest(resized(probability, (height // division, width // division)))
    # The mean over blocks and heads is taken of what they carry, never of whole matrices.
    received = torch.stack([(matrix @ carried[:, None]).mean(dim=1) for matrix in attention])
    share = weights.flatten(2).transpose(1, 2)
    shares = torch.cat([share, 1 - share], dim=2)
    error = (shares * received.mean(dim=0) - target).abs().sum(dim=2)
    return (error * counts[:, None]).mean()


def _object_and_rest(probability: Tensor) -> Tensor:
    """[B, 1, h, w] -> [B, h * w, 2]: the probability of the object, and that of the rest."""
    values = probability.flatten(2).transpose(1, 2)
    return torch.cat([values, 1 - values], dim=2)


def weight_supervision(weights: Mapping[int, Tensor], target: Tensor, positives: Tensor) -> Tensor:
    """Weights should be one on the object and zero beside it. Nothing else trains them.

    `weights` [B, 1, h, w] of each stage, in [0, 1]; `target` [B, 1, H, W] has 1, 0 and -1 where
    nobody knows, which is no error. Samples with fewer than two of `positives` [B] count as
    without error. A scalar: the mean over the stages of mean squared errors.
    """
    counts = _counts(positives)[:, None, None, None]
    losses = []
    for map_ in weights.values():
        wanted = F.interpolate(target.to(map_.dtype), size=map_.shape[-2:], mode="nearest")
        losses.append(((map_ - wanted).square() * (wanted >= 0) * counts).mean())
    return torch.stack(losses).mean()


def _counts(positives: Tensor) -> Tensor:
    """Which samples have a weight at all: bool [B]."""
    return positives.flatten() >= FEWEST
