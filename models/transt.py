"""TransT: the network by name, and the tracker that uses it.

Chen et al., "Transformer Tracking", CVPR 2021, arXiv 2103.15436.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models import checkpoints
from models.transt_network import LAYERS, TransTNetwork
from models.transt_options import FAITHFUL, TransTOptions
from models.transt_tracker import TransTTracker

__all__ = [
    "FAITHFUL",
    "LAYERS",
    "TransTNetwork",
    "TransTOptions",
    "TransTTracker",
    "network",
    "network_of",
    "tracker",
]

NAME = "transt"


def network(name: str = NAME) -> TransTNetwork:
    """TransT with four fusion layers and fresh random weights. Raises KeyError."""
    if name != NAME:
        raise KeyError(name)
    return TransTNetwork()


def network_of(name: str, config: Mapping[str, Any]) -> TransTNetwork:
    """The network with as many fusion layers as `config` says; `network(name)` where it does not.

    Raises ValueError for a number of layers that no published file has.
    """
    layers = config.get("layers", LAYERS[0])
    if layers not in LAYERS or isinstance(layers, bool):
        raise ValueError(
            f"the checkpoint has {layers!r} fusion layers; TransT's have 4 (N4) or 2 (N2)"
        )
    return TransTNetwork(layers)


def tracker(
    name: str = NAME, weights: str | Path | None = None, device: str = "cpu", **options: Any
) -> TransTTracker:
    """The tracker with the weights file `weights`, N4 or N2 by its tensors.

    None leaves fresh random weights, which is of use to tests and benchmarks alone. Raises
    `models.checkpoints.CheckpointError`, and TypeError or ValueError for a wrong option.
    """
    chosen = TransTOptions(**options)
    if weights is None:
        return TransTTracker(network(name), f"{name}@random:000000000000", device, chosen)
    checkpoint = checkpoints.load_for(name, weights)
    loaded = network_of(name, checkpoint.config)
    loaded.load_state_dict(dict(checkpoint.tensors), strict=True)
    version = checkpoints.version_of(checkpoint, weights)
    return TransTTracker(loaded, version, device, chosen)
