"""Simulated annotators: given the ground truth and a mask, where the next click goes."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from backend.evaluation.datasets import IGNORE, OBJECT, Labels
from models.prompts import Click

Mask = npt.NDArray[np.bool_]
Distances = npt.NDArray[np.floating]

PRECISE = 0
"""OpenCV's mask size for exact Euclidean distances (cv2.DIST_MASK_PRECISE)."""


def opencv_distances(mask: Mask) -> Distances:
    """float32 HxW: distance of every set pixel to the nearest other one, the border included."""
    padded = np.pad(mask, 1).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, PRECISE)[1:-1, 1:-1])


def scipy_distances(mask: Mask) -> Distances:
    """float64 HxW of the same; a last digit here and there breaks ties otherwise (f-BRS)."""
    return np.asarray(ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1])


DISTANCES: dict[str, Callable[[Mask], Distances]] = {
    "opencv": opencv_distances,
    "scipy": scipy_distances,
}


class Clicker(ABC):
    """An annotator at work on one object: remembers the clicks made.

    `labels` is the ground truth, int8 HxW of OBJECT, BACKGROUND and IGNORE.
    """

    def __init__(self, labels: Labels) -> None:
        self._object = labels == OBJECT
        self._counted = labels != IGNORE
        self._not_clicked = np.ones(labels.shape, np.bool_)

    def next_click(self, mask: Mask) -> Click | None:
        """The click that answers `mask`, bool HxW; None where there is nothing to correct."""
        missing = self._object & ~mask & self._counted
        surplus = ~self._object & mask & self._counted
        found = self._choose(missing, surplus)
        if found is None:
            return None
        row, column, positive = found
        self._not_clicked[row, column] = False
        return Click(column, row, positive)

    @abstractmethod
    def _choose(self, missing: Mask, surplus: Mask) -> tuple[int, int, bool] | None:
        """(row, column, positive) of the next click."""


class CentreClicker(Clicker):
    """The standard protocol (Xu et al., 2016, as RITM computes it): the centre of the error.

    The pixel deepest inside the missing or the surplus area, whichever reaches deeper, the surplus
    on a tie and the first in row-major order. It never stops: where nothing is left to correct it
    clicks the top left pixel as background, as the published evaluations do.
    """

    def __init__(self, labels: Labels, distances: Literal["opencv", "scipy"] = "opencv") -> None:
        super().__init__(labels)
        self._distances = DISTANCES[distances]

    def _choose(self, missing: Mask, surplus: Mask) -> tuple[int, int, bool]:
        missed = self._distances(missing) * self._not_clicked
        added = self._distances(surplus) * self._not_clicked
        positive = bool(missed.max() > added.max())
        deepest = np.argmax(missed if positive else added)
        row, column = np.unravel_index(deepest, missing.shape)
        return int(row), int(column), positive


class RandomClicker(Clicker):
    """A less tidy annotator: somewhere in the error part that the standard one would click.

    Centre clicks flatter (RClicks, Antonov et al., 2024). Here a pixel of that connected part is
    drawn with a probability proportional to its depth. `seed` names the object: the same object
    gets the same draws in every run.
    """

    def __init__(self, labels: Labels, seed: str) -> None:
        super().__init__(labels)
        digest = hashlib.sha256(seed.encode()).digest()
        self._random = np.random.default_rng(int.from_bytes(digest[:8], "little"))

    def _choose(self, missing: Mask, surplus: Mask) -> tuple[int, int, bool] | None:
        missed = opencv_distances(missing) * self._not_clicked
        added = opencv_distances(surplus) * self._not_clicked
        positive = bool(missed.max() > added.max())
        depth = missed if positive else added
        deepest = int(np.argmax(depth))
        if depth.flat[deepest] == 0:
            return None
        _, parts = cv2.connectedComponents((missing if positive else surplus).astype(np.uint8))
        weights = np.where(parts == parts.flat[deepest], depth, 0).astype(np.float64).ravel()
        drawn = self._random.choice(weights.size, p=weights / weights.sum())
        row, column = np.unravel_index(drawn, depth.shape)
        return int(row), int(column), positive
