"""Backpropagating refinement: make the network's answer agree with every click.

Jang, Kim, "Interactive Image Segmentation via Backpropagating Refinement Scheme", CVPR 2019;
Sofiiuk et al., "f-BRS: Rethinking Backpropagating Refinement for Interactive Segmentation", CVPR
2020. Both minimise, with L-BFGS-B, the clicks' loss plus a penalty on the correction.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import fmin_l_bfgs_b
from torch import Tensor

from models.brs_correction import Correction
from models.brs_loss import ClickMasks, click_loss

Vector = npt.NDArray[np.float64]

CORRECTIONS_KEPT = 20
"""How many steps L-BFGS-B remembers."""

LEAST_GRADIENT = 1e-8
"""Below this the search ends; a gradient of zero is how the objective ends it."""


@dataclass(frozen=True)
class Limits:
    """When the search ends.

    `threshold` is the probability above which a pixel is of the mask. See `BrsOptions` for the
    others.
    """

    threshold: float
    iou_change: float
    evaluations: int
    deadline_ms: float | None = None


@dataclass(frozen=True)
class Refined:
    """What a search found: the best `logits` [B, 1, h, w], and the last `x`, where the next
    click's search begins. `losses` are those of all evaluations. With `aborted`, time ran out,
    and x is the best so far.
    """

    logits: Tensor
    x: Vector
    losses: tuple[float, ...]
    aborted: bool


class _OutOfTime(Exception):
    """Ends a search from within."""


class Objective:
    """Value and gradient of the loss at x, for one click. Remembers the best it has seen."""

    def __init__(self, correction: Correction, masks: ClickMasks, limits: Limits) -> None:
        self._correction = correction
        self._masks = masks
        self._limits = limits
        self._last_mask: Tensor | None = None
        self.losses: list[float] = []
        self.logits: Tensor | None = None
        self.x: Vector | None = None

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        """The loss at float64 x and its gradient, or a gradient of zero where x is good enough."""
        device = self._masks.positive.device
        with torch.enable_grad():
            variable = torch.from_numpy(x).to(device, torch.float32).requires_grad_()
            logits = self._correction.logits(variable)
            clicks = click_loss(logits, self._masks)
            loss = clicks.loss + self._correction.penalty(variable)
        value = float(loss.detach())
        if not self.losses or value < min(self.losses):
            self.logits, self.x = logits.detach(), x.copy()
        self.losses.append(value)
        threshold = self._limits.threshold
        right = clicks.worst_positive < 1 - threshold and clicks.worst_negative < threshold
        if right or self._settled(logits.detach().sigmoid() > threshold):
            return value, np.zeros_like(x)
        (gradient,) = torch.autograd.grad(loss, variable)
        return value, gradient.cpu().numpy().astype(np.float64)

    def _settled(self, mask: Tensor) -> bool:
        """Whether a mask, bool [B, 1, h, w], is nearly the one before; else it becomes that."""
        last = self._last_mask
        if last is not None:
            shared = (mask & last).flatten(1).sum(1)
            union = (mask | last).flatten(1).sum(1)
            ious = shared[union > 0] / union[union > 0]
            if len(ious) and float(ious.mean()) > 1 - self._limits.iou_change:
                return True
        self._last_mask = mask
        return False


def refine(
    correction: Correction,
    masks: ClickMasks,
    start: Vector,
    limits: Limits,
    clock: Callable[[], float] = time.monotonic,
) -> Refined:
    """Search from float64 `start` for the correction that suits the clicks.

    The number of evaluations is bounded: L-BFGS-B looks at it after each of its steps, and a step
    takes at most 20. `clock` gives seconds, and matters only to a deadline.
    """
    objective = Objective(correction, masks, limits)
    wanted = limits.deadline_ms
    end = None if wanted is None else clock() + wanted / 1000

    def timed(x: Vector) -> tuple[float, Vector]:
        if end is not None and objective.losses and clock() >= end:
            raise _OutOfTime
        return objective(x)

    try:
        x, _, _ = fmin_l_bfgs_b(
            timed,
            start,
            m=CORRECTIONS_KEPT,
            factr=0,
            pgtol=LEAST_GRADIENT,
            maxfun=limits.evaluations,
            maxiter=2 * limits.evaluations,
        )
        aborted = False
    except _OutOfTime:
        x, aborted = objective.x, True
    assert objective.logits is not None  # noqa: S101 - there is always a first evaluation
    return Refined(objective.logits, x, tuple(objective.losses), aborted)
