"""An S2M network that was never trained and yet has something to say of every stroke."""

from __future__ import annotations

from functools import cache

import torch

from models.s2m_network import S2mNetwork
from models.s2m_options import S2mOptions
from models.s2m_predictor import S2mSegmenter
from tests.goldens.cases import golden_arrays, overridden

VERSION = "s2m@tests:000000000000"

OVERRIDES = (
    {"pattern": r"\.bn3\.weight$", "multiply": 0.25},
    {"tensor": "backbone.conv1.weight", "in_channels": [4, 6], "multiply": 4.0},
    {"tensor": "classifier.classifier.3.bias", "add": -7.0},
)
"""Residuals that do not pile up, strokes that count, and an answer of about half of the picture."""


@cache
def lively() -> S2mNetwork:
    """Weights that are a function of their names; the same network each time, not to be changed."""
    network = S2mNetwork()
    shapes = {
        name: {"shape": tensor.shape, "dtype": str(tensor.dtype).removeprefix("torch.")}
        for name, tensor in network.state_dict().items()
    }
    arrays = golden_arrays(shapes)
    overridden(arrays, OVERRIDES)
    network.load_state_dict({name: torch.as_tensor(array) for name, array in arrays.items()})
    return network.eval()


def segmenter(**options: object) -> S2mSegmenter:
    """A segmenter of the lively network that looks at little unless told otherwise."""
    chosen = S2mOptions(**{"picture_side": 96, **options})  # type: ignore[arg-type]
    return S2mSegmenter(lively(), VERSION, options=chosen)
