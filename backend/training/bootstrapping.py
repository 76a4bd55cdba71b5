"""Cross entropy of the hardest pixels, of an object that shares the picture with the background.

Cheng, Tai, Tang, "Modular Interactive Video Object Segmentation", CVPR 2021: a plain mean at first,
then of fewer and fewer pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Bootstrapping:
    """Up to step `begin` all pixels count, from step `end` on the `least` share with the most loss.

    In between the share falls linearly.
    """

    begin: int = 10_000
    end: int = 30_000
    least: float = 0.15

    def __post_init__(self) -> None:
        if not (0 <= self.begin < self.end and 0 < self.least <= 1):
            raise ValueError(
                f"bootstrapping needs 0 <= begin < end and 0 < least <= 1; these are {self}"
            )

    def share(self, step: int) -> float:
        """The share of pixels that count at a step."""
        passed = (step - self.begin) / (self.end - self.begin)
        return 1 - (1 - self.least) * min(max(passed, 0.0), 1.0)

    def loss(self, logits: Tensor, labels: Tensor, step: int) -> Tensor:
        """[] from logits and labels (0 or 1) of one shape, the hardest of the whole batch.

        Labels may be anything below 0 where a pixel is to be ignored. The two-class cross entropy
        of the soft aggregation's logits is that of the doubled logit.
        """
        known = labels >= 0
        every = F.binary_cross_entropy_with_logits(
            2 * logits[known], labels[known].to(logits.dtype), reduction="none"
        )
        if not every.numel():
            return logits.sum() * 0
        share = self.share(step)
        if share == 1:
            return every.mean()
        count = max(1, int(every.numel() * share))
        return every.topk(count, sorted=False).values.mean()
