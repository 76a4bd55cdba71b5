"""SimpleClick, click by click: networks by name, and the segmenter that uses them.

Liu, Xu, Bertasius, Niethammer, "SimpleClick: Interactive Image Segmentation with Simple Vision
Transformers", ICCV 2023.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models import checkpoints
from models.simpleclick_config import CONFIGS, SimpleClickConfig
from models.simpleclick_network import SimpleClickNetwork
from models.simpleclick_options import FAITHFUL, SimpleClickOptions
from models.simpleclick_predictor import SimpleClickSegmenter

__all__ = [
    "CONFIGS",
    "FAITHFUL",
    "SimpleClickConfig",
    "SimpleClickNetwork",
    "SimpleClickOptions",
    "SimpleClickSegmenter",
    "network",
    "network_of",
    "segmenter",
]


def network(name: str) -> SimpleClickNetwork:
    """The network of an architecture as published, with fresh random weights. Raises KeyError."""
    return SimpleClickNetwork(CONFIGS[name])


def network_of(name: str, config: Mapping[str, Any]) -> SimpleClickNetwork:
    """The network that a checkpoint's own configuration describes; `network(name)` without one.

    Raises ValueError as `SimpleClickConfig.from_serialized` does, and where the configuration is
    that of another architecture.
    """
    if not config:
        return network(name)
    told = SimpleClickConfig.from_serialized(config)
    if told.sizes != CONFIGS[name].sizes:
        raise ValueError(f"the checkpoint's configuration is not that of {name}")
    return SimpleClickNetwork(told)


def segmenter(
    name: str, weights: str | Path | None = None, device: str = "cpu", **options: Any
) -> SimpleClickSegmenter:
    """The segmenter of an architecture with the weights file `weights`.

    None leaves fresh random weights, which is of use to tests and benchmarks alone. Raises
    `models.checkpoints.CheckpointError`, and TypeError or ValueError for a wrong option.
    """
    chosen = SimpleClickOptions(**options)
    if weights is None:
        version = f"{name}@random:000000000000"
        return SimpleClickSegmenter(network(name), version, device, chosen)
    checkpoint = checkpoints.load_for(name, weights)
    loaded = network_of(name, checkpoint.config)
    loaded.load_state_dict(dict(checkpoint.tensors), strict=True)
    version = checkpoints.version_of(checkpoint, weights)
    return SimpleClickSegmenter(loaded, version, device, chosen)
