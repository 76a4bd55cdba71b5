"""Evaluation sets on disk as samples: one picture with one object each, read when asked for.

The layout of a folder is recognised by what it holds (`backend.evaluation.layouts` has one reader
a layout), so a set is named by its folder alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int8]

OBJECT = 1
BACKGROUND = 0
IGNORE = -1
"""The values of a ground truth: pixels marked IGNORE count neither for nor against a mask."""


@dataclass(frozen=True)
class Sample:
    """One object on one picture.

    `key` names it within its set; samples with equal `picture` show the same picture, so work done
    on it can be kept. `read_image` gives uint8 HxWx3 RGB, upright; `read_labels` int8 HxW of
    OBJECT, BACKGROUND and IGNORE. `starts` are faulty masks that the set brings along, bool HxW by
    name, from which an annotator may begin. All raise `InvalidImage` for an unreadable file.
    """

    key: str
    picture: str
    read_image: Callable[[], Image]
    read_labels: Callable[[], Labels]
    split: str | None = None
    starts: Mapping[str, Callable[[], npt.NDArray[np.bool_]]] = field(default_factory=dict)


@dataclass(frozen=True)
class DataSet:
    """A named list of samples. `layout` is the name of the layout it was found in."""

    name: str
    layout: str
    root: Path
    samples: tuple[Sample, ...]

    def limited(self, count: int | None) -> DataSet:
        """At most `count` samples: those with the smallest sha256 of their key, in file order.

        The choice depends on the keys alone, so it is the same on every machine.
        """
        if count is None or count >= len(self.samples):
            return self
        chosen = sorted(self.samples, key=lambda sample: _digest(sample.key))[:count]
        keys = {sample.key for sample in chosen}
        return replace(self, samples=tuple(s for s in self.samples if s.key in keys))

    def of_split(self, split: str | None) -> DataSet:
        """The samples of one split, for sets whose manifest divides them; None keeps all."""
        if split is None:
            return self
        return replace(self, samples=tuple(s for s in self.samples if s.split == split))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
