"""The RITM network: clicks and the previous mask beside the picture, in one pass.

Sofiiuk, Petrov, Konushin, "Reviving Iterative Training with Mask Guidance for Interactive
Segmentation", ICIP 2022. Tensor names are the authors'.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from models.clicks_encoding import DistMaps
from models.heads.deeplab import DeepLabV3Plus, SeparableHead
from models.heads.ocr import HeadLogits, SegmentationHRNet
from models.resampling import resized
from models.ritm_config import RitmConfig

STEM_CHANNELS = 64


class Logits(NamedTuple):
    """Logits [B, 1, H, W]; `aux` those of the auxiliary head, where the network gives them out."""

    instances: Tensor
    aux: Tensor | None


class Scaled(nn.Module):
    """Multiplies by the absolute value of one learned number."""

    def __init__(self, initial: float = 0.05) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((1,), initial))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same shape."""
        return x * self.scale.abs()


class RitmNetwork(nn.Module):
    """Picture, clicks and previous mask to logits, in three steps: fuse, features, classify.

    With `normalised_before_zoom` the authors normalise a picture before they resample it, without,
    afterwards: all the same but for the last digit, of which refinement makes more.
    """

    normalised_before_zoom: ClassVar[bool] = False
    mean: Tensor
    std: Tensor

    def __init__(self, config: RitmConfig) -> None:
        super().__init__()
        self.config = config
        mean, std = (torch.tensor(row).view(1, 3, 1, 1) for row in config.norm_mean_std)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.dist_maps = DistMaps(config.norm_radius, disks=config.use_disks)
        if config.use_rgb_conv:
            self.rgb_conv = rgb_conv(config)
        elif config.conv_extend:
            self.maps_transform: nn.Module = nn.Conv2d(config.maps, STEM_CHANNELS, 3, 2, 1)
        else:
            self.maps_transform = maps_transform(config)
        self.feature_extractor: SegmentationHRNet | DeepLabV3Plus
        if config.kind == "hrnet":
            self.feature_extractor = SegmentationHRNet(
                config.width, config.ocr_width, small=config.small
            )
        else:
            depth = int(config.backbone.removeprefix("resnet"))
            self.feature_extractor = DeepLabV3Plus(depth, config.deeplab_ch, config.aspp_dropout)
            self.head = SeparableHead(config.deeplab_ch)

    def forward(self, image: Tensor, points: Tensor, previous: Tensor | None = None) -> Logits:
        """Logits at the picture's size.

        `image` [B, 3, H, W] is RGB in [0, 1], `points` [B, 2P, 3] as `DistMaps` reads them,
        `previous` [B, 1, H, W] the previous probabilities; None where there are none yet, and
        ignored by networks without this input.
        """
        return self.answer(self.normalised(image), points, previous)

    def answer(self, image: Tensor, points: Tensor, previous: Tensor | None = None) -> Logits:
        """As `forward`, of a normalised picture."""
        size = image.shape[-2:]
        maps = self.dist_maps(points, (size[0], size[1]))
        logits, aux = self.classify(self.features(*self.joined(image, maps, previous)))
        if aux is not None:
            aux = resized(aux, size) if self.config.with_aux_output else None
        return Logits(resized(logits, size), aux)

    def fuse(
        self, image: Tensor, points: Tensor, previous: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """What the backbone takes: its picture [B, 3, H, W], and [B, 64, H/2, W/2] for its stem."""
        maps = self.dist_maps(points, (image.shape[2], image.shape[3]))
        return self.joined(self.normalised(image), maps, previous)

    def normalised(self, image: Tensor) -> Tensor:
        """[B, 3, H, W] in [0, 1] -> the same with the mean and deviation of ImageNet taken out."""
        return (image - self.mean) / self.std

    def joined(
        self, image: Tensor, maps: Tensor, previous: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """As `fuse`, of a normalised picture and of the click maps [B, 2, H, W]."""
        if self.config.with_prev_mask:
            if previous is None:
                previous = image.new_zeros((image.shape[0], 1, *image.shape[2:]))
            if self.config.binary_prev_mask:
                previous = (previous > 0.5).float()
            maps = torch.cat([previous, maps], dim=1)
        if self.config.use_rgb_conv:
            return self.rgb_conv(torch.cat([image, maps], dim=1)), None
        return image, self.maps_transform(maps)

    def features(self, image: Tensor, extra: Tensor | None) -> Tensor:
        """What `classify` takes: [B, C, H/4, W/4]."""
        if isinstance(self.feature_extractor, SegmentationHRNet):
            return self.feature_extractor.features(image, extra)
        features: Tensor = self.feature_extractor(image, extra)
        return features

    def classify(self, features: Tensor) -> HeadLogits:
        """Logits [B, 1, H/4, W/4] of features; the auxiliary head's too, where there is one."""
        if isinstance(self.feature_extractor, SegmentationHRNet):
            return self.feature_extractor.classify(features)
        return HeadLogits(self.head(features), None)


def maps_transform(config: RitmConfig) -> nn.Sequential:
    """Click maps and previous mask as features for the stem: [B, C, H, W] -> [B, 64, H/2, W/2]."""
    return nn.Sequential(
        nn.Conv2d(config.maps, 16, 1),
        activation(config),
        nn.Conv2d(16, STEM_CHANNELS, 3, 2, 1),
        Scaled(),
    )


def rgb_conv(config: RitmConfig) -> nn.Sequential:
    """Picture and maps as a picture again: [B, 3 + C, H, W] -> [B, 3, H, W]."""
    inside = 6 + config.maps
    return nn.Sequential(
        nn.Conv2d(3 + config.maps, inside, 1),
        nn.BatchNorm2d(inside),
        activation(config),
        nn.Conv2d(inside, 3, 1),
    )


def activation(config: RitmConfig) -> nn.Module:
    """The activation of the input stage."""
    return nn.LeakyReLU(0.2) if config.use_leaky_relu else nn.ReLU()
