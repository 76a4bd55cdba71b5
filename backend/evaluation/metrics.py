"""What is counted: IoU, clicks to reach a target (NoC), objects that needed them all (NoF)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from backend.evaluation.datasets import IGNORE, OBJECT, Labels


def iou(labels: Labels, mask: npt.NDArray[np.bool_]) -> float:
    """Intersection over union of `mask`, bool HxW, with the object; IGNORE pixels do not count.

    1.0 where neither holds a pixel that counts.
    """
    counted = labels != IGNORE
    truth = labels == OBJECT
    union = int(np.count_nonzero((truth | mask) & counted))
    return int(np.count_nonzero(truth & mask & counted)) / union if union else 1.0


def clicks_to_reach(ious: Sequence[float], target: float, most: int, first: int = 1) -> int:
    """The first click whose IoU is at least `target`, even if it falls later; else `most`.

    `ious` holds one value per click, of click number `first` onwards. Values and target are
    compared in single precision, as published numbers are.
    """
    reached = np.asarray(ious[: most + 1 - first], np.float32) >= np.float32(target)
    return int(np.argmax(reached)) + first if reached.any() else most


def mean_clicks(noc: Sequence[int]) -> float:
    """NoC of a set: the mean over its objects."""
    return float(np.mean(noc))


def over_limit(noc: Sequence[int], most: int) -> int:
    """NoF as papers count it: objects whose NoC is the limit, success at the limit included."""
    return sum(count >= most for count in noc)


def unreached(objects: Sequence[Sequence[float]], target: float) -> int:
    """Objects that never had an IoU of `target`."""
    best = [np.float32(max(ious)) for ious in objects]
    return sum(bool(value < np.float32(target)) for value in best)


def carried(ious: Sequence[float], clicks: int) -> list[float]:
    """`ious` made `clicks` long by its last value: the annotator was content and stopped."""
    return [*ious[:clicks], *[ious[-1]] * (clicks - len(ious))]


def mean_iou_per_click(objects: Sequence[Sequence[float]], clicks: int) -> list[float]:
    """Mean IoU over objects after click 1, 2, ..., `clicks`; short lists keep their last value."""
    table = [carried(ious, clicks) for ious in objects]
    return [float(value) for value in np.mean(np.asarray(table, np.float64), axis=0)]
