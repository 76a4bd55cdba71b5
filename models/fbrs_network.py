"""The f-BRS network: clicks and picture in one pass, without a previous mask.

Sofiiuk, Petrov, Barinova, Konushin, "f-BRS: Rethinking Backpropagating Refinement for Interactive
Segmentation", CVPR 2020. It is RITM's network but for one thing: the norm of the layers that join
clicks and picture comes after their activation. Tensor names are the authors'.
"""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from models.ritm_config import RitmConfig
from models.ritm_network import RitmNetwork, activation


class FbrsNetwork(RitmNetwork):
    """Picture and clicks to logits, in the steps of `RitmNetwork`."""

    normalised_before_zoom: ClassVar[bool] = True

    def __init__(self, config: RitmConfig) -> None:
        super().__init__(config)
        self.rgb_conv = rgb_conv(config)


def rgb_conv(config: RitmConfig) -> nn.Sequential:
    """Picture and maps as a picture again: [B, 3 + C, H, W] -> [B, 3, H, W]."""
    inside = 6 + config.maps
    return nn.Sequential(
        nn.Conv2d(3 + config.maps, inside, 1),
        activation(config),
        nn.BatchNorm2d(inside),
        nn.Conv2d(inside, 3, 1),
    )
