"""What a mask that disagrees with the clicks costs, for backpropagating refinement.

Jang, Kim, "Interactive Image Segmentation via Backpropagating Refinement Scheme", CVPR 2019, and
Sofiiuk et al., "f-BRS: Rethinking Backpropagating Refinement for Interactive Segmentation", CVPR
2020, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.clicks_encoding import Positions
from models.zoom import Size

REACH = 1
"""A click speaks for the square of pixels at most so far from its own, in rows and columns."""

EPSILON = 1e-5


class ClickMasks(NamedTuple):
    """1 where a positive, or a negative, click speaks for a pixel: float32 [B, 1, h, w] each."""

    positive: Tensor
    negative: Tensor


class ClickLoss(NamedTuple):
    """How far a mask is from its clicks: one number to minimise, and the worst pixel of a sign."""

    loss: Tensor
    worst_positive: Tensor
    worst_negative: Tensor


def click_masks(
    lists: Sequence[Positions],
    size: Size,
    device: torch.device | str = "cpu",
    *,
    wrapping: bool = False,
) -> ClickMasks:
    """The squares of clicks (row, column, positive) in B pictures of `size`.

    Positions are rounded to whole pixels, halves to even. A square is cut off at the picture's
    edge. With `wrapping` its first row and column are read as Python reads a slice's start: -1
    is the last one, so a click in the first row or column leaves nothing, and one farther out
    may mark the opposite edge. So does the original.
    """
    masks = torch.zeros(2, len(lists), 1, *size)
    for index, clicks in enumerate(lists):
        for row, column, positive in clicks:
            rows, columns = (_span(round(at), wrapping) for at in (row, column))
            masks[0 if positive else 1, index, 0, rows, columns] = 1
    return ClickMasks(*masks.to(device).unbind(0))


def _span(at: int, wrapping: bool) -> slice:
    first, last = at - REACH, at + REACH + 1
    return slice(first, last) if wrapping else slice(max(first, 0), max(last, 0))


def click_loss(logits: Tensor, masks: ClickMasks) -> ClickLoss:
    """The loss of logits [B, 1, h, w], summed over all B of them together.

    The squared errors at positive clicks over their number, and likewise at negative ones.
    """
    probability = logits.sigmoid()
    positive = (1 - probability) * masks.positive
    negative = probability * masks.negative
    loss = positive.square().sum() / (masks.positive.sum() + EPSILON)
    loss = loss + negative.square().sum() / (masks.negative.sum() + EPSILON)
    return ClickLoss(loss, positive.detach().max(), negative.detach().max())
