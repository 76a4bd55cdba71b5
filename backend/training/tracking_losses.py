"""TransT's targets and losses.

Chen et al., "Transformer Tracking", CVPR 2021, section 3.3. Boxes are float32 (centre x, centre y,
width, height) in parts of the search region's side; cells lie row by row.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

TARGET, BACKGROUND = 0, 1

BACKGROUND_WEIGHT = 1 / 16
"""Of a cell of the background in the cross entropy: those are many."""

CLASS_SHARE, L1_SHARE, GIOU_SHARE = 8.334, 5.0, 2.0


class TrackingLoss(NamedTuple):
    """The whole loss and its three parts before they are weighted, scalars."""

    total: Tensor
    classes: Tensor
    l1: Tensor
    giou: Tensor


def positives(boxes: Tensor, cells: int) -> Tensor:
    """The cells that lie in the object: bool [B, cells * cells] from boxes [B, 4].

    From the first cell that begins inside of the box to the last, at least one in each direction,
    and none beyond the search region: the authors' code counts a negative one from the other end.
    """
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    first = (cells * (centre - half)).ceil()
    last = (cells * (centre + half)).ceil()
    first = first.clamp(0, cells - 1)
    last = torch.maximum(last.clamp(max=cells), first + 1)
    numbers = torch.arange(cells, device=boxes.device)
    inside = (numbers >= first[..., None]) & (numbers < last[..., None])
    return (inside[:, 1, :, None] & inside[:, 0, None, :]).flatten(1)


def tracking_loss(logits: Tensor, boxes: Tensor, targets: Tensor) -> TrackingLoss:
    """The loss of answers [B, N, 2] and [B, N, 4] for objects at `targets` [B, 4].

    N is a square number. Every cell is classified; boxes count in the cells of the object.
    """
    count = logits.shape[1]
    cells = round(count**0.5)
    if cells * cells != count:
        raise ValueError(f"{count} cells are no square grid")
    inside = positives(targets, cells)
    labels = torch.where(inside, TARGET, BACKGROUND)
    weights = logits.new_tensor([1.0, BACKGROUND_WEIGHT])
    classes = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), weights)
    found = boxes[inside]
    wanted = targets[:, None].expand_as(boxes)[inside]
    number = max(1, len(found))
    l1 = (found - wanted).abs().sum() / number
    giou = (1 - generalised_iou(found, wanted)).sum() / number
    total = CLASS_SHARE * classes + L1_SHARE * l1 + GIOU_SHARE * giou
    return TrackingLoss(total, classes, l1, giou)


def generalised_iou(one: Tensor, other: Tensor) -> Tensor:
    """IoU less the share of the smallest common box that neither fills: [N] in (-1, 1] of [N, 4].

    Rezatofighi et al., "Generalized Intersection over Union", CVPR 2019.
    """
    (low, high), (other_low, other_high) = _corners(one), _corners(other)
    common = _area(torch.maximum(low, other_low), torch.minimum(high, other_high))
    union = _area(low, high) + _area(other_low, other_high) - common
    around = _area(torch.minimum(low, other_low), torch.maximum(high, other_high))
    return common / union - (around - union) / around


def _corners(boxes: Tensor) -> tuple[Tensor, Tensor]:
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    return centre - half, centre + half


def _area(low: Tensor, high: Tensor) -> Tensor:
    """Areas [N] between corners [N, 2]; zero where they are the wrong way round."""
    return (high - low).clamp(min=0).prod(dim=1)
