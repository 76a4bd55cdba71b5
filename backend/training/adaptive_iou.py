"""IoU while training, at a threshold that follows the network."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.training.losses import IGNORED


class AdaptiveIoU:
    """The mean IoU of batches, at the best of three thresholds around a slowly moving one.

    Early in a training probabilities are low all over, and IoU at 0.5 would say nothing. RITM's
    metric: a batch's IoU is the best of those at the threshold and `step` to either side; the
    threshold moves towards the best by 1 - `inertia`, the shown value by 1 - `memory`. Everything
    stays on the device until it is read.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        start: float = 0.4,
        step: float = 0.025,
        inertia: float = 0.99,
        memory: float = 0.9,
    ) -> None:
        self._step, self._inertia, self._memory = step, inertia, memory
        self._threshold = torch.tensor(start, device=device)
        self._value = torch.tensor(0.0, device=device)

    @property
    def value(self) -> float:
        """The running mean, 0 before the first batch."""
        return float(self._value)

    @property
    def threshold(self) -> float:
        """The threshold that the probabilities are compared with now."""
        return float(self._threshold)

    @torch.no_grad()
    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Count a batch: logits and labels [B, 1, H, W]; one without any object changes nothing."""
        probabilities = torch.sigmoid(logits.float())
        truth = labels == 1
        counted = labels != IGNORED
        shifts = self._threshold.new_tensor([0.0, -self._step, self._step])
        thresholds = self._threshold + shifts
        ious = torch.stack(
            [_mean_iou((probabilities > each) & counted, truth) for each in thresholds]
        )
        value, best = ious.max(dim=0)
        inertia = torch.where(truth.any(), self._inertia, 1.0)
        memory = torch.where(truth.any(), self._memory, 1.0)
        self._threshold = inertia * self._threshold + (1 - inertia) * thresholds.take(best)
        self._value = memory * self._value + (1 - memory) * value


def _mean_iou(masks: Tensor, truth: Tensor) -> Tensor:
    """Over the pictures of a batch in which there is anything to compare; 0 without any."""
    common = (masks & truth).flatten(1).sum(dim=1)
    either = (masks | truth).flatten(1).sum(dim=1)
    ious = common / either.clamp_min(1)
    return ious.sum() / (either > 0).sum().clamp_min(1)
