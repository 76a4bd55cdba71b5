"""S2M (Scribble-to-Mask): its network by name, and the segmenter that uses it.

Cheng, Tai, Tang, "Modular Interactive Video Object Segmentation: Interaction-to-Mask, Propagation
and Difference-Aware Fusion", CVPR 2021.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models import checkpoints
from models.s2m_network import S2mNetwork
from models.s2m_options import S2mOptions
from models.s2m_predictor import S2mSegmenter

__all__ = ["S2mNetwork", "S2mOptions", "S2mSegmenter", "network", "segmenter"]


def network(name: str) -> S2mNetwork:
    """The network of the architecture, with fresh random weights. Raises KeyError."""
    if name != "s2m":
        raise KeyError(name)
    return S2mNetwork()


def segmenter(
    name: str, weights: str | Path | None = None, device: str = "cpu", **options: Any
) -> S2mSegmenter:
    """The segmenter of the architecture with the weights file `weights`.

    None leaves fresh random weights, which is of use to tests and benchmarks alone. Raises
    `models.checkpoints.CheckpointError`, and TypeError or ValueError for a wrong option.
    """
    chosen = S2mOptions(**options)
    own = network(name)
    if weights is None:
        return S2mSegmenter(own, f"{name}@random:000000000000", device, chosen)
    checkpoint = checkpoints.load_for(name, weights)
    own.load_state_dict(dict(checkpoint.tensors), strict=True)
    version = checkpoints.version_of(checkpoint, weights)
    return S2mSegmenter(own, version, device, chosen)
