"""Run lengths: what the row-major codecs have in common."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backend.masks import Mask

Runs = npt.NDArray[np.int64]
"""Lengths of alternating runs; the first one is background and may be 0."""


def run_lengths(flat: npt.NDArray[np.bool_]) -> Runs:
    """The runs of a flat bool array of at least one element."""
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0], changes, [len(flat)]])
    if flat[0]:
        edges = np.concatenate([[0], edges])
    return np.diff(edges)


def picture_runs(mask: Mask) -> Runs:
    """The runs of the whole picture in row order, made from the crop alone."""
    height, width = mask.size
    if not mask:
        return np.array([height * width], np.int64)
    left, top, right, _ = mask.box
    # A column of background ends every run with its row.
    padded = np.pad(mask.crop, ((0, 0), (0, 1)))
    changes = np.diff(padded.ravel().view(np.int8), prepend=0)
    stride = right - left + 1
    begins, ends = (
        (position // stride + top) * width + position % stride + left
        for position in (np.flatnonzero(changes == 1), np.flatnonzero(changes == -1))
    )
    # Where the box spans the picture, a run may go on in the next row.
    joined = np.flatnonzero(begins[1:] == ends[:-1])
    begins, ends = np.delete(begins, joined + 1), np.delete(ends, joined)
    edges = np.concatenate([[0], np.column_stack([begins, ends]).ravel(), [height * width]])
    lengths = np.diff(edges)
    return lengths if lengths[-1] else lengths[:-1]


def from_run_lengths(runs: Runs) -> npt.NDArray[np.bool_]:
    """The flat bool array of the runs."""
    return np.repeat((np.arange(len(runs)) & 1).astype(np.bool_), runs)
