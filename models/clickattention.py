"""ClickAttention: networks by name, and the segmenter that uses them.

"ClickAttention: Click Region Similarity Guided Interactive Segmentation", arXiv 2408.06021.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models import checkpoints
from models.clickattention_config import CONFIGS, ClickAttentionConfig
from models.clickattention_network import ClickAttentionNetwork
from models.clickattention_options import FAITHFUL, ClickAttentionOptions
from models.clickattention_predictor import ClickAttentionSegmenter

__all__ = [
    "CONFIGS",
    "FAITHFUL",
    "ClickAttentionConfig",
    "ClickAttentionNetwork",
    "ClickAttentionOptions",
    "ClickAttentionSegmenter",
    "network",
    "network_of",
    "segmenter",
]


def network(name: str) -> ClickAttentionNetwork:
    """The network of an architecture, with fresh random weights. Raises KeyError."""
    return ClickAttentionNetwork(CONFIGS[name])


def network_of(name: str, config: Mapping[str, Any]) -> ClickAttentionNetwork:
    """The network that a checkpoint's own configuration describes; `network(name)` without one.

    Raises ValueError as `ClickAttentionConfig.from_serialized` does.
    """
    if not config:
        return network(name)
    return ClickAttentionNetwork(ClickAttentionConfig.from_serialized(config))


def segmenter(
    name: str, weights: str | Path | None = None, device: str = "cpu", **options: Any
) -> ClickAttentionSegmenter:
    """The segmenter of an architecture with the weights file `weights`.

    None leaves fresh random weights, which is of use to tests and benchmarks alone. Raises
    `models.checkpoints.CheckpointError`, and TypeError or ValueError for a wrong option.
    """
    chosen = ClickAttentionOptions(**options)
    if weights is None:
        return ClickAttentionSegmenter(network(name), f"{name}@random:000000000000", device, chosen)
    checkpoint = checkpoints.load_for(name, weights)
    loaded = network_of(name, checkpoint.config)
    loaded.load_state_dict(dict(checkpoint.tensors), strict=True)
    version = checkpoints.version_of(checkpoint, weights)
    return ClickAttentionSegmenter(loaded, version, device, chosen)
