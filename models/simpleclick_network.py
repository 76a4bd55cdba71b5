"""The SimpleClick network: clicks and previous mask as tokens beside those of the picture.

Liu, Xu, Jiao, Niethammer, "SimpleClick: Interactive Image Segmentation with Simple Vision
Transformers", ICCV 2023, section 3. Tensor names are the authors'.
"""

from __future__ import annotations

from typing import ClassVar

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

    normalised_before_zoom: ClassVar[bool] = False
    """As in `models.ritm_network`, whose predictor asks."""
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
        return self.answer(self.normalised(image), points, previous)

    def answer(self, image: Tensor, points: Tensor, previous: Tensor | None = None) -> Logits:
        """As `forward`, of a normalised picture."""
        tokens = self.click_tokens(points, (image.shape[2], image.shape[3]), previous)
        logits = self.classify(self.features(image, tokens))
        return Logits(resized(logits, image.shape[-2:]), None)

    def normalised(self, image: Tensor) -> Tensor:
        """[B, 3, H, W] in [0, 1] -> the same with the mean and deviation of ImageNet taken out."""
        return (image - self.mean) / self.std

    def click_tokens(
        self, points: Tensor, size: tuple[int, int], previous: Tensor | None = None
    ) -> Tensor:
        """Clicks and the previous map as tokens [B, N, D] for a picture of `size`."""
        maps = self.dist_maps(points, size)
        if previous is None:
            previous = maps.new_zeros((maps.shape[0], 1, *size))
        tokens: Tensor = self.patch_embed_coords(torch.cat([previous, maps], dim=1))
        return tokens

    def features(self, image: Tensor, tokens: Tensor) -> Tensor:
        """What `classify` takes, [B, D, H/patch, W/patch], of a normalised picture.

        The transformer may be of another precision than the rest.
        """
        precision = self.backbone.pos_embed.dtype
        features: Tensor = self.backbone(image.to(precision), tokens.to(precision))
        return features.to(image.dtype)

    def classify(self, features: Tensor) -> Tensor:
        """Logits [B, 1, h, w] of features, four times as fine as they are."""
        logits: Tensor = self.head(self.neck(features))
        return logits
