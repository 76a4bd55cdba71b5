"""SimpleClick's predictor: RITM's, looking at regions of the picture stretched to one size.

Liu et al., "SimpleClick", ICCV 2023, section 4; the authors' inference code is RITM's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

from models.ritm_predictor import RitmSegmenter
from models.simpleclick_options import SimpleClickOptions

if TYPE_CHECKING:
    from models.ritm_network import RitmNetwork
    from models.simpleclick_network import SimpleClickNetwork


class SimpleClickSegmenter(RitmSegmenter):
    """Network and predictor. The network given is copied, and stays as it is."""

    def __init__(
        self,
        network: SimpleClickNetwork,
        version: str,
        device: str = "cpu",
        options: SimpleClickOptions | None = None,
    ) -> None:
        self.chosen = options or SimpleClickOptions()
        # The predictor asks of a network only what both have: its click maps, its forward pass.
        super().__init__(cast("RitmNetwork", network), version, device, self.chosen.view())
        self.settings = self.chosen.text
        self._network.backbone.to(getattr(torch, self.chosen.precision))
