"""RITM, click by click: networks by name, and the segmenter that uses them.

Sofiiuk, Petrov, Konushin, "Reviving Iterative Training with Mask Guidance for Interactive
Segmentation", ICIP 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models import checkpoints
from models.ritm_config import CONFIGS, RitmConfig
from models.ritm_network import RitmNetwork
from models.ritm_options import RitmOptions
from models.ritm_predictor import RitmSegmenter

__all__ = [
    "CONFIGS",
    "RitmConfig",
    "RitmNetwork",
    "RitmOptions",
    "RitmSegmenter",
    "network",
    "network_of",
    "segmenter",
]


def network(name: str) -> RitmNetwork:
    """The network of an architecture as published, with fresh random weights. Raises KeyError."""
    return RitmNetwork(CONFIGS[name])


def network_of(name: str, config: Mapping[str, Any]) -> RitmNetwork:
    """The network that a checkpoint's own configuration describes; `network(name)` without one.

    Raises ValueError as `RitmConfig.from_serialized` does.
    """
    return RitmNetwork(RitmConfig.from_serialized(config)) if config else network(name)


def segmenter(
    name: str, weights: str | Path | None = None, device: str = "cpu", **options: Any
) -> RitmSegmenter:
    """The segmenter of an architecture with the weights file `weights`.

    None leaves fresh random weights, which is of use to tests and benchmarks alone. Raises
    `models.checkpoints.CheckpointError`, and TypeError or ValueError for a wrong option.
    """
    chosen = RitmOptions(**options)
    if weights is None:
        return RitmSegmenter(network(name), f"{name}@random:000000000000", device, chosen)
    checkpoint = checkpoints.load_for(name, weights)
    loaded = network_of(name, checkpoint.config)
    loaded.load_state_dict(dict(checkpoint.tensors), strict=True)
    version = checkpoints.version_of(checkpoint, weights)
    return RitmSegmenter(loaded, version, device, chosen)
