"""FocalClick: networks by name, and the segmenter that uses them click by click.

Chen, Zhao, Zhang, Duan, Qi, Zhao, "FocalClick: Towards Practical Interactive Image Segmentation",
CVPR 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models import checkpoints
from models.focalclick_config import CONFIGS, FocalClickConfig
from models.focalclick_network import FocalClickNetwork, Focus
from models.focalclick_options import FAITHFUL, FocalClickOptions
from models.focalclick_predictor import FocalClickSegmenter

__all__ = [
    "CONFIGS",
    "FAITHFUL",
    "FocalClickConfig",
    "FocalClickNetwork",
    "FocalClickOptions",
    "FocalClickSegmenter",
    "Focus",
    "network",
    "network_of",
    "segmenter",
]


def network(name: str) -> FocalClickNetwork:
    """The network of an architecture as published, with fresh random weights. Raises KeyError."""
    return FocalClickNetwork(CONFIGS[name])


def network_of(name: str, config: Mapping[str, Any]) -> FocalClickNetwork:
    """The network that a checkpoint's own configuration describes; `network(name)` without one.

    Raises ValueError as `FocalClickConfig.from_serialized` does.
    """
    return FocalClickNetwork(FocalClickConfig.from_serialized(config)) if config else network(name)


def segmenter(
    name: str, weights: str | Path | None = None, device: str = "cpu", **options: Any
) -> FocalClickSegmenter:
    """The segmenter of an architecture with the weights file `weights`.

    None leaves fresh random weights, which is of use to tests and benchmarks alone. Raises
    `models.checkpoints.CheckpointError`, and TypeError or ValueError for a wrong option.
    """
    chosen = FocalClickOptions(**options)
    if weights is None:
        return FocalClickSegmenter(network(name), f"{name}@random:000000000000", device, chosen)
    checkpoint = checkpoints.load_for(name, weights)
    loaded = network_of(name, checkpoint.config)
    loaded.load_state_dict(dict(checkpoint.tensors), strict=True)
    version = checkpoints.version_of(checkpoint, weights)
    return FocalClickSegmenter(loaded, version, device, chosen)
