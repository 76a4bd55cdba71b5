"""S2M: DeepLabV3+ on a picture, its previous mask and two maps of strokes.

Cheng, Tai, Tang, "Modular Interactive Video Object Segmentation", CVPR 2021, section 3.1. Tensor
names are those of the authors' files.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.backbones.resnet import PlainResNet, StageShape
from models.heads.deeplab import conv_bn_relu

STRIDE = 16
"""Of the coarsest features: what the network sees is padded to a multiple of it."""

INPUTS = 6
"""Picture (3), previous mask, positive strokes, negative strokes."""

SHAPES = (StageShape(), StageShape(stride=2), StageShape(stride=2), StageShape(dilation=2))
"""The last stage is dilated in place of strided, in its first block not even that."""

CHANNELS = 256
SKIP_CHANNELS = 48
RATES = (6, 12, 18)
DROPOUT = 0.1


class Features(NamedTuple):
    """`low` [B, 256, H/4, W/4] of the first stage, `high` [B, 2048, H/16, W/16] of the last."""

    low: Tensor
    high: Tensor


class S2mNetwork(nn.Module):
    """[B, 6, H, W] to logits [B, 1, H, W].

    The channels are the normalised picture, the previous mask in [0, 1], and strokes of 0 and 1,
    positive ones first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = PlainResNet(50, SHAPES, INPUTS)
        low, *_, high = self.backbone.channels
        self.classifier = Classifier(low, high)

    def encode(self, x: Tensor) -> Features:
        """[B, 6, H, W] -> the features that the classifier wants."""
        low, *_, high = self.backbone(x)
        return Features(low, high)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 6, H, W] -> logits [B, 1, H, W]."""
        return bilinear(self.classifier(*self.encode(x)), x.shape[-2:])


class Classifier(nn.Module):
    """Early and late features to logits at stride 4."""

    def __init__(self, low: int, high: int) -> None:
        super().__init__()
        self.project = nn.Sequential(*conv_bn_relu(low, SKIP_CHANNELS))
        self.aspp = AtrousPyramid(high)
        merged = SKIP_CHANNELS + CHANNELS
        self.classifier = nn.Sequential(
            *conv_bn_relu(merged, CHANNELS, 1), nn.Conv2d(CHANNELS, 1, 1)
        )

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """[B, 256, h, w] and [B, 2048, h/4, w/4] -> logits [B, 1, h, w]."""
        pyramid = bilinear(self.aspp(high), low.shape[-2:])
        return cast(Tensor, self.classifier(torch.cat([self.project(low), pyramid], dim=1)))


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling: one pixel, three dilations and the whole picture."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        dilated = [nn.Sequential(*conv_bn_relu(inputs, CHANNELS, rate)) for rate in RATES]
        pixel = nn.Sequential(*conv_bn_relu(inputs, CHANNELS))
        self.convs = nn.ModuleList([pixel, *dilated, WholePicture(inputs)])
        views = len(self.convs) * CHANNELS
        self.project = nn.Sequential(*conv_bn_relu(views, CHANNELS), nn.Dropout(DROPOUT))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, h, w] -> [B, 256, h, w]."""
        return cast(Tensor, self.project(torch.cat([conv(x) for conv in self.convs], dim=1)))


class WholePicture(nn.Sequential):
    """The mean of the picture's features, the same at every pixel."""

    def __init__(self, inputs: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), *conv_bn_relu(inputs, CHANNELS))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, h, w] -> [B, 256, h, w]."""
        mean = x
        for layer in self:
            mean = layer(mean)
        return mean.expand(-1, -1, *x.shape[-2:])


def bilinear(x: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """[B, C, h, w] to `size` = (H, W), edges on edges (align_corners=False)."""
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)
