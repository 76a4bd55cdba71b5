"""Backpropagating refinement from click to click: where a search begins, and what it leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models.brs import Limits, Refined, Vector
from models.brs_correction import corrects_channels
from models.brs_options import BrsOptions
from models.ritm_options import RitmOptions
from models.ritm_view import Basis, Memory, Refinement, View
from models.scene import Scene

MOST_PIXEL_BYTES = 1_900_000
"""A larger correction of pixels is not remembered: a state has to stay small."""


def is_refined(scene: Scene, options: BrsOptions) -> bool:
    """Whether there are clicks enough to correct the network's answer."""
    return options.brs_mode != "NoBRS" and len(scene.clicks) > options.brs_after_clicks


def limits(options: RitmOptions) -> Limits:
    """When a search under these options ends."""
    return Limits(
        threshold=options.threshold,
        iou_change=options.brs_iou_change,
        evaluations=options.brs_max_evaluations,
        deadline_ms=options.brs_deadline_ms,
    )


def start(refinement: Refinement, view: View, length: int, options: BrsOptions) -> Vector:
    """Where the search begins: where the last one ended, or at no correction.

    A correction of pixels holds only for the pixels it was made for.
    """
    known = refinement.x
    outdated = view.changed and not corrects_channels(options.brs_mode)
    if known is None or known.size != length or outdated:
        return np.zeros(length)
    return known.astype(np.float64)


def basis_of(memory: Memory, scene: Scene, view: View, options: RitmOptions) -> Basis | None:
    """The earlier click whose features still stand; None where they are made anew.

    That is so while the network sees all clicks, and where the crop has changed.
    """
    limit = options.net_clicks_limit
    if not keeps_features(options) or view.changed:
        return None
    return None if limit is None or len(scene.clicks) <= limit else memory.refinement.basis


def keeps_features(options: RitmOptions) -> bool:
    """Whether features outlive their click."""
    wanted = options.brs_keep_features and options.net_clicks_limit is not None
    return wanted and corrects_channels(options.brs_mode)


def left_by(
    refined: Refined, basis: Basis | None, before: Refinement, options: RitmOptions
) -> Refinement:
    """What the next click is to know of a search."""
    return Refinement(_kept(refined.x, options), basis, refined.aborted or before.aborted)


def _kept(x: Vector, options: RitmOptions) -> npt.NDArray[Any] | None:
    """A correction as it is remembered.

    The faithful way keeps every digit. Served, one of pixels is a mere starting point: it is kept
    in half precision, if that is small.
    """
    if options.full_size_state or corrects_channels(options.brs_mode):
        return x
    return x.astype(np.float16) if 2 * x.size <= MOST_PIXEL_BYTES else None
