"""Soft aggregation: one answer per pixel from the probabilities of several objects.

Oh et al., "Fast Video Object Segmentation by Reference-Guided Mask Propagation", CVPR 2018,
section 3.3, in the forms that MiVOS (Cheng et al., CVPR 2021) uses.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

LEAST = 1e-7
"""Probabilities are kept this far from 0 and 1, where the log odds would be infinite."""

HARDNESS = 1000.0
"""What the hard form multiplies the log odds with: nearly an argmax."""

Background = Literal["product", "half"]


class Aggregated(NamedTuple):
    """`probability`: shares of background and objects. `logits`: log odds before the softmax.

    Along the axis of the objects the background is first. `logits` always have it, `probability`
    unless it was left out.
    """

    probability: Tensor
    logits: Tensor


def aggregated(
    probability: Tensor,
    *,
    background: Background = "product",
    hard: bool = False,
    keep_background: bool = True,
    dim: int = 0,
) -> Aggregated:
    """Shares that sum to 1, of probabilities float that know nothing of each other.

    The objects lie along `dim`: [K, ...] gives [1 + K, ...]. The background's probability is that
    of no object being there, prod(1 - p), or with "half" (MiVOS' `sbg`) 0.5 everywhere. A softmax
    over the log odds follows, of 1000 times the log odds with `hard`. Without `keep_background`
    the background's share is left out of the answer, after the softmax.
    """
    if background == "product":
        behind = torch.prod(1 - probability, dim=dim, keepdim=True)
    else:
        behind = torch.full_like(probability.narrow(dim, 0, 1), 0.5)
    every = torch.cat([behind, probability], dim=dim).clamp(LEAST, 1 - LEAST)
    logits = torch.log(every / (1 - every))
    shares = torch.softmax(logits * HARDNESS if hard else logits, dim=dim)
    if not keep_background:
        shares = shares.narrow(dim, 1, shares.shape[dim] - 1)
    return Aggregated(shares, logits)
