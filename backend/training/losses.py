"""Losses of click-based networks: functions of logits and labels, each after its paper.

Logits are [B, 1, H, W] of any floating type; all sums are in single precision. Labels have the
logits' shape and any real type: 1 is the object, 0 is not, IGNORED counts nowhere. A result is one
value per picture, [B], unless it says otherwise.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORED = -1
"""The label of pixels about which nothing is known."""

EPSILON = 1e-12


def normalized_focal(
    logits: Tensor,
    labels: Tensor,
    alpha: float = 0.5,
    gamma: float = 2.0,
    *,
    detached: bool = True,
    limit: float | None = None,
) -> Tensor:
    """Focal loss whose weights always have the mean 1, so that easy pictures keep their gradient.

    Sofiiuk, Barinova, Konushin, "AdaptIS: Adaptive Instance Selection Network", ICCV 2019,
    section 3.3; as RITM and f-BRS use it. `alpha` weighs the object, 1 - `alpha` the rest. With
    `detached` the normalisation is a constant for the gradient; `limit` bounds a pixel's weight.
    """
    terms, counted = _normalized_focal_terms(
        logits, labels, alpha, gamma, detached=detached, limit=limit
    )
    return _sum(terms) / (_sum(counted) + EPSILON)


def weighted_normalized_focal(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor,
    *,
    alpha: float = 0.5,
    gamma: float = 2.0,
    share: float = 0.5,
) -> Tensor:
    """The normalised focal loss with a weight per pixel: one value for the whole batch, [].

    A pixel weighs 1 - `share` plus `share` times its value in `weights` (0 to 1, the shape of the
    labels). The average is over the weights of the batch, not picture by picture, and pixels
    without a label count in it. Chen et al., "FocalClick: Towards Practical Interactive Image
    Segmentation", CVPR 2022: the refiner's loss, `weights` being the trimap.
    """
    terms, _ = _normalized_focal_terms(logits, labels, alpha, gamma, detached=True, limit=None)
    blended = weights.float() * share + (1 - share)
    return (terms * blended).sum() / (blended.sum() + EPSILON)


def focal(logits: Tensor, labels: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017; the mean over counted pixels.

    `alpha` weighs the object, 1 - `alpha` the rest.
    """
    likelihood, counted = _likelihood(logits, labels)
    beta = (1 - likelihood) ** gamma
    terms = _cross_entropy_terms(likelihood, labels, alpha) * beta * counted
    return _sum(terms) / (_sum(counted) + EPSILON)


def binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Sigmoid cross entropy, the mean over all pixels: those without a label count as a loss of 0.

    RITM's and FocalClick's auxiliary loss, and with a trimap as labels FocalClick's trimap loss.
    """
    logits, labels = logits.float(), labels.float()
    counted = labels != IGNORED
    target = torch.where(counted, labels, torch.zeros_like(labels))
    terms = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (terms * counted).flatten(1).mean(dim=1)


def soft_iou(logits: Tensor, labels: Tensor) -> Tensor:
    """1 - IoU, with probabilities in place of a mask and the larger value in place of the union.

    Rahman and Wang, "Optimizing Intersection-Over-Union in Deep Neural Networks for Image
    Segmentation", ISVC 2016, with the union that RITM's code has.
    """
    labels = labels.float()
    probabilities = torch.sigmoid(logits.float())
    counted = (labels != IGNORED).float()
    common = _sum(probabilities * labels * counted)
    either = _sum(torch.maximum(probabilities, labels) * counted)
    return 1 - common / (either + 1e-8)


def _normalized_focal_terms(
    logits: Tensor,
    labels: Tensor,
    alpha: float,
    gamma: float,
    *,
    detached: bool,
    limit: float | None,
) -> tuple[Tensor, Tensor]:
    """A pixel's share of the normalised focal loss, and 1 where it counts: [B, 1, H, W] each."""
    likelihood, counted = _likelihood(logits, labels)
    beta = (1 - likelihood) ** gamma
    pixels = counted.sum(dim=(-2, -1), keepdim=True)
    factor = pixels / (beta.sum(dim=(-2, -1), keepdim=True) + EPSILON)
    beta = beta * (factor.detach() if detached else factor)
    if limit is not None:
        beta = beta.clamp_max(limit)
    return _cross_entropy_terms(likelihood, labels, alpha) * beta * counted, counted


def _likelihood(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The probability given to each pixel's own label, 1 where it has none, and where it counts."""
    labels = labels.float()
    counted = labels != IGNORED
    likelihood = 1 - (labels - torch.sigmoid(logits.float())).abs()
    return torch.where(counted, likelihood, torch.ones_like(likelihood)), counted.float()


def _cross_entropy_terms(likelihood: Tensor, labels: Tensor, alpha: float) -> Tensor:
    weight = torch.where(labels > 0.5, alpha, 1 - alpha)
    return -weight * (likelihood + EPSILON).clamp_max(1).log()


def _sum(values: Tensor) -> Tensor:
    """Of each picture: [B, ...] -> [B]."""
    return values.flatten(1).sum(dim=1)
