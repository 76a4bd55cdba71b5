"""Layer norm over the channels of a map, as Segment Anything's heads and MobileSAM's neck use."""

from __future__ import annotations

from torch import Tensor, nn


class MapNorm(nn.LayerNorm):
    """Layer norm over the channels of a (B, C, H, W) map."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
