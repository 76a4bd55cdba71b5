"""The losses that a recipe may name: what a network gives out, held against a batch's truth.

Networks give out tuples with names (`instances`, `aux`, `refined`, ...); a term takes what it
needs from there. A term's value is a mean over the batch, [].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from backend.training.affinity import discriminative_affinity, weight_supervision
from backend.training.interactive_data import FocusBatch, InteractiveBatch
from backend.training.losses import (
    binary_cross_entropy,
    normalized_focal,
    soft_iou,
    weighted_normalized_focal,
)

Term = Callable[[Any, InteractiveBatch], Tensor]
"""A network's outputs and the batch -> a scalar."""


def _focal(outputs: Any, batch: InteractiveBatch) -> Tensor:
    return normalized_focal(outputs.instances, batch.labels).mean()


def _cross_entropy(outputs: Any, batch: InteractiveBatch) -> Tensor:
    return binary_cross_entropy(outputs.instances, batch.labels).mean()


def _overlap(outputs: Any, batch: InteractiveBatch) -> Tensor:
    return soft_iou(outputs.instances, batch.labels).mean()


def _aux_cross_entropy(outputs: Any, batch: InteractiveBatch) -> Tensor:
    return binary_cross_entropy(outputs.aux, batch.labels).mean()


def _refined_focal(outputs: Any, batch: InteractiveBatch) -> Tensor:
    focus = _focus(batch)
    return weighted_normalized_focal(outputs.refined.logits, focus.labels, focus.trimaps)


def _trimap(outputs: Any, batch: InteractiveBatch) -> Tensor:
    return binary_cross_entropy(outputs.refined.trimap, _focus(batch).trimaps).mean()


def _affinity(outputs: Any, batch: InteractiveBatch) -> Tensor:
    return discriminative_affinity(
        outputs.instances.float(), outputs.attention, outputs.weights, outputs.positives
    )


def _weights(outputs: Any, batch: InteractiveBatch) -> Tensor:
    return weight_supervision(outputs.weights, batch.labels, outputs.positives)


def _focus(batch: InteractiveBatch) -> FocusBatch:
    if batch.focus is None:
        raise ValueError("this loss is about close views, and the samples have none")
    return batch.focus


TERMS: Mapping[str, Term] = {
    "focal": _focal,
    "cross-entropy": _cross_entropy,
    "overlap": _overlap,
    "aux-cross-entropy": _aux_cross_entropy,
    "refined-focal": _refined_focal,
    "trimap": _trimap,
    "affinity": _affinity,
    "weight-supervision": _weights,
}
"""`focal`: normalised focal loss (RITM). `cross-entropy`, `overlap` (soft IoU): of the logits too.
`aux-cross-entropy`: of the auxiliary head. `refined-focal`, `trimap`: FocalClick's refiner.
`affinity`, `weight-supervision`: ClickAttention's attention and weights."""
