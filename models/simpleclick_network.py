"""The SimpleClick network: clicks and previous mask as tokens beside those of the picture.

Liu, Xu, Jiao, Niethammer, "SimpleClick: Interactive Image Segmentation with Simple Vision
Transformers", ICCV 2023, section 3. Tensor names are the authors'.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.backbones.vit import PatchEmbed, PlainVit
from models.clicks_encoding import DistMaps
from models.heads.simple_pyramid import PyramidHead, SimplePyramid
from models.resampling import resized
from models.ritm_network import Logits
from models.simpleclick_config import SimpleClickConfig

CLICK_CHANNELS = 3


class SimpleClickNetwork(nn.Module):
    """Picture, clicks and previous mask to logits. Sides are multiples of 224 pixels."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: SimpleClickConfig) -> None:
        super().__init__()
        self.config = config
        mean, std = (torch.tensor(row).view(1, 3, 1, 1) for row in config.norm_mean_std)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.dist_maps = DistMaps(config.norm_radius, disks=True)
        self.patch_embed_coords = PatchEmbed(CLICK_CHANNELS, config.shape)
        self.backbone = PlainVit(config.shape)
        self.neck = SimplePyramid(config.shape.dim, config.widths)
        self.head = PyramidHead(config.widths, config.channels, config.upsample)

    def forward(self, image: Tensor, points: Tensor, previous: Tensor | None = None) -> Logits:
        """Logits at the picture's size; there are no auxiliary ones.

        `image` [B, 3, H, W] is RGB in [0, 1], `points` [B, 2P, 3] as `DistMaps` reads them,
        `previous` [B, 1, H, W] the previous probabilities, None where there are none yet. Raises
        ValueError where a side is no multiple of 224.
        """
        logits = self.classify(self.features(*self.fuse(image, points, previous)))
        return Logits(resized(logits, image.shape[-2:]), None)

    def fuse(
        self, image: Tensor, points: Tensor, previous: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What the transformer takes: its picture [B, 3, H, W], and tokens [B, N, D] to add."""
        if previous is None:
            previous = image.new_zeros((image.shape[0], 1, *image.shape[2:]))
        maps = self.dist_maps(points, (image.shape[2], image.shape[3]))
        tokens = self.patch_embed_coords(torch.cat([previous, maps], dim=1))
        return (image - self.mean) / self.std, tokens

    def features(self, image: Tensor, tokens: Tensor) -> Tensor:
        """What `classify` takes: [B, D, H/patch, W/patch]."""
        features: Tensor = self.backbone(image, tokens)
        return features

    def classify(self, features: Tensor) -> Tensor:
        """Logits [B, 1, h, w] of features, four times as fine as they are."""
        logits: Tensor = self.head(self.neck(features))
        return logits
