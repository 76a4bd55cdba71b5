"""The simulated annotator of training: where the next click of each sample goes.

Sofiiuk, Petrov, Konushin, "Reviving Iterative Training with Mask Guidance for Interactive
Segmentation", 2021, section 3.2: the error, missing or surplus, that reaches deeper gets a click
anywhere in its deeper half, drawn uniformly. Pixels without a label are never an error.

Two computations of one rule: `add_clicks` sample by sample with OpenCV's approximate distances, as
the original does, and `add_clicks_batched` with exact ones for the whole batch at once, which
stays on the device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

THRESHOLD = 0.49
"""Probabilities above it are the predicted object, below it the background."""

LOOK_EVERY = 32
"""Columns after which it is asked whether farther ones can matter still: asking is a wait."""

Slots = Literal["from-end", "first-free"]
"""Where a click goes among the rows of its sign, for `points` [B, 2P, 3].

`from-end`: click k of a batch into row P - k, over whatever is there (RITM and most after it).
`first-free`: into the first row without a click, into the last one where all are taken, and its
index one more than the highest in the sample (ClickAttention).
"""

Draw = Callable[[int], int]
"""A number from 0 to n - 1, all equally likely, for a given n."""


@dataclass(frozen=True)
class _Clicks:
    """One click per sample: int64 [B] rows and columns, bool [B] sign, and whether there is one."""

    rows: Tensor
    columns: Tensor
    positive: Tensor
    found: Tensor


def add_clicks(
    points: Tensor,
    probabilities: Tensor,
    labels: Tensor,
    index: int,
    draw: Draw,
    *,
    slots: Slots = "from-end",
) -> Tensor:
    """`points` with click number `index` (1, 2, ...) of every sample that has an error left.

    `points` [B, 2P, 3] are (row, column, index) with P rows per sign, positive ones first and
    negative values for none; `probabilities` [B, 1, H, W]; `labels` [B, 1, H, W] of 1, 0 and
    -1 (unknown). `draw` is called once for each sample with an error, in order. Returns a copy.
    """
    likely = probabilities.detach().float().cpu().numpy()[:, 0]
    truth = labels.detach().cpu().numpy()[:, 0]
    found = [_drawn(row, label, draw) for row, label in zip(likely, truth, strict=True)]
    rows, columns, positive = (
        torch.tensor([click[part] if click else 0 for click in found], device=points.device)
        for part in range(3)
    )
    exists = torch.tensor([click is not None for click in found], device=points.device)
    return _with(points, _Clicks(rows, columns, positive.bool(), exists), index, slots)


def add_clicks_batched(
    points: Tensor,
    probabilities: Tensor,
    labels: Tensor,
    index: int,
    draws: Tensor,
    *,
    slots: Slots = "from-end",
) -> Tensor:
    """As `add_clicks`, for the whole batch on the tensors' device.

    `draws` [B] are uniform numbers in [0, 1). Distances are exact.
    """
    missing, surplus = errors(probabilities.detach()[:, 0], labels[:, 0])
    batch = len(points)
    depths = squared_distances(torch.cat([missing, surplus])).flatten(1)
    missed, added = depths[:batch], depths[batch:]
    positive = missed.amax(dim=1) > added.amax(dim=1)
    depth = torch.where(positive[:, None], missed, added)
    # Squares of whole numbers: the comparison with half of the largest distance is exact.
    most = depth.amax(dim=1, keepdim=True)
    allowed = 4 * depth > most
    counted = allowed.cumsum(dim=1, dtype=torch.int32)
    count = counted[:, -1]
    chosen = (draws.to(depth.device) * count).to(torch.int32).clamp_(max=count - 1)
    place = (counted <= chosen[:, None]).sum(dim=1)
    width = labels.shape[-1]
    clicks = _Clicks(place // width, place % width, positive, count > 0)
    return _with(points, clicks, index, slots)


def errors(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """What is missing and what is surplus, bool of the given shape.

    A probability of exactly THRESHOLD is neither.
    """
    missing = (labels == 1) & (probabilities < THRESHOLD)
    surplus = (labels == 0) & (probabilities > THRESHOLD)
    return missing, surplus


def squared_distances(masks: Tensor) -> Tensor:
    """Bool [N, H, W] -> int32 [N, H, W]: squared distance to the nearest pixel that is not set.

    Exact, in pixels; all beyond the border is not set. First along the columns, then the smallest
    sum along the rows (Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions",
    2012), by brute force: no more than half of the shorter side lies between a pixel and a border.
    """
    height, width = masks.shape[1:]
    vertical = _to_unset_in_column(masks)
    flat = torch.nn.functional.pad(vertical, (1, 1)).square_()
    nearest = flat.clone()
    for offset in range(1, (min(height, width) + 1) // 2 + 1):
        square = offset * offset
        if offset % LOOK_EVERY == 0 and square >= int(nearest.max()):
            break
        right, left = nearest[..., offset:], nearest[..., :-offset]
        torch.minimum(right, flat[..., :-offset] + square, out=right)
        torch.minimum(left, flat[..., offset:] + square, out=left)
    return nearest[..., 1:-1]


def _to_unset_in_column(masks: Tensor) -> Tensor:
    """Bool [N, H, W] -> int32 [N, H, W]: rows to the nearest unset pixel of the same column."""
    height = masks.shape[1]
    rows = torch.arange(height, device=masks.device, dtype=torch.int32)[:, None]
    above = torch.where(masks, -1, rows).cummax(dim=1).values
    below = torch.where(masks, height, rows).flip(1).cummin(dim=1).values.flip(1)
    return torch.minimum(rows - above, below - rows)


def _drawn(
    probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.generic], draw: Draw
) -> tuple[int, int, bool] | None:
    """The (row, column, positive) of one sample's click; None where nothing is wrong."""
    missing = (labels == 1) & (probabilities < THRESHOLD)
    surplus = (labels == 0) & (probabilities > THRESHOLD)
    missed, added = _distances(missing), _distances(surplus)
    positive = bool(missed.max() > added.max())
    depth = missed if positive else added
    candidates = np.flatnonzero(depth > depth.max() / 2)
    if not len(candidates):
        return None
    row, column = divmod(int(candidates[draw(len(candidates))]), depth.shape[1])
    return row, column, positive


def _distances(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Distance of every set pixel to the nearest other one, the border included: float32 HxW."""
    padded = np.pad(mask, 1).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5), np.float32)[1:-1, 1:-1]


def _with(points: Tensor, clicks: _Clicks, index: int, slots: Slots) -> Tensor:
    """A copy of `points` with one more click for every sample where one was found."""
    batch, rows, _ = points.shape
    half = rows // 2
    samples = torch.arange(batch, device=points.device)
    first = torch.where(clicks.positive, 0, half)
    if slots == "from-end":
        slot = first + max(half - index, 0)
        order = torch.full_like(points[:, 0, 2], index)
    else:
        free = (points[..., :2].amax(dim=2) < 0).view(batch, 2, half)
        own = free[samples, (~clicks.positive).long()]
        # The first free row; argmax of a row without any is 0, so the last one is asked for.
        slot = first + torch.where(own.any(dim=1), own.int().argmax(dim=1), half - 1)
        order = points[..., 2].amax(dim=1).clamp_min(-1) + 1
    click = torch.stack([clicks.rows.to(points), clicks.columns.to(points), order], dim=1)
    added = points.clone()
    added[samples, slot] = torch.where(clicks.found[:, None], click, points[samples, slot])
    return added
