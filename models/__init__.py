"""Interactive segmentation systems: networks and predictors behind one contract.

    segmenter = models.segmenter("mobilesam")
    prepared = segmenter.prepare(image)
    result = segmenter.segment(prepared, Prompt(clicks=(Click(120, 80),)))

    tracker = models.tracker("transt")
    state = tracker.start(frames[0], (40.0, 60.0, 120.0, 140.0))
    found = tracker.track(frames[1], state)

Importing this package does not import torch; the first network does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.prompts import Box, Click, Prompt, Scribble
from models.segmenter import Prepared, Result, Segmenter, picture_id, replay
from models.state import State
from models.tracker import StateRefused, Tracked, Tracker, TrackState

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

__all__ = [
    "Box",
    "Click",
    "Prepared",
    "Prompt",
    "Result",
    "Scribble",
    "Segmenter",
    "State",
    "StateRefused",
    "TrackState",
    "Tracked",
    "Tracker",
    "create",
    "picture_id",
    "replay",
    "segmenter",
    "tracker",
]


def create(name: str) -> nn.Module:
    """The network of an architecture, with the authors' tensor names and fresh weights.

    Raises `models.zoo.UnknownModel` for a name that the zoo does not have.
    """
    from models.zoo import architecture

    return architecture(name).network()


def segmenter(
    name: str, *, weights: str | Path | None = None, device: str = "cpu", **options: Any
) -> Segmenter:
    """A ready segmenter: the network of `name` with the weights file `weights` on `device`.

    `options` are the fields of the system's options dataclass (`models.ritm.RitmOptions`, say).
    `weights` is a safetensors file or an author's checkpoint; None leaves fresh random weights,
    which is of use to tests alone. Raises `models.zoo.UnknownModel`, `models.checkpoints.
    CheckpointError`, and TypeError for an option that the system does not have.
    """
    from models.zoo import architecture

    return architecture(name).segmenter(weights=weights, device=device, **options)


def tracker(
    name: str, *, weights: str | Path | None = None, device: str = "cpu", **options: Any
) -> Tracker:
    """A ready tracker: the network of `name` with the weights file `weights` on `device`.

    Arguments and errors are those of `segmenter`.
    """
    from models.zoo import architecture

    return architecture(name).tracker(weights=weights, device=device, **options)
