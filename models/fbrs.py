"""f-BRS, click by click: networks by name, and the segmenter that uses them.

Sofiiuk, Petrov, Barinova, Konushin, "f-BRS: Rethinking Backpropagating Refinement for Interactive
Segmentation", CVPR 2020.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models import checkpoints
from models.fbrs_config import CONFIGS
from models.fbrs_network import FbrsNetwork
from models.fbrs_options import FbrsOptions
from models.ritm_predictor import RitmSegmenter

__all__ = ["CONFIGS", "FbrsNetwork", "FbrsOptions", "network", "segmenter"]


def network(name: str) -> FbrsNetwork:
    """The network of an architecture as published, with fresh random weights. Raises KeyError."""
    return FbrsNetwork(CONFIGS[name])


def segmenter(
    name: str, weights: str | Path | None = None, device: str = "cpu", **options: Any
) -> RitmSegmenter:
    """The segmenter of an architecture with the weights file `weights`.

    `options` are the fields of `FbrsOptions`. None leaves fresh random weights, which is of use to
    tests and benchmarks alone. Raises `models.checkpoints.CheckpointError`, and TypeError or
    ValueError for a wrong option.
    """
    chosen, own = FbrsOptions(**options), network(name)
    if weights is None:
        return RitmSegmenter(own, f"{name}@random:000000000000", device, chosen)
    checkpoint = checkpoints.load_for(name, weights)
    own.load_state_dict(dict(checkpoint.tensors), strict=True)
    version = checkpoints.version_of(checkpoint, weights)
    return RitmSegmenter(own, version, device, chosen)
