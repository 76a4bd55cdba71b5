"""DeepLabV3+ on a dilated ResNet, and the small head that makes one map of its features.

Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation",
2018. The tensor names are those of the interactive segmentation code built on it, misspelling
included.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from models.backbones.resnet import ResNet
from models.resampling import resized

SKIP_CHANNELS = 32
RATES = (12, 24, 36)


class DeepLabV3Plus(nn.Module):
    """Features [B, channels, H/4, W/4] of a picture.

    `encode`, `merge` and `decode` are its three steps, each of use alone to whoever wants to
    change what passes between them.
    """

    def __init__(self, depth: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.channels = channels
        self.backbone = ResNet(depth)
        low, *_, high = self.backbone.channels
        self.skip_project = SkipProject(low)
        self.aspp = AtrousPyramid(high, channels, dropout)
        self.head = Decoder(channels + SKIP_CHANNELS, channels)

    def encode(self, x: Tensor, extra: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """[B, 3, H, W] -> features at strides 4 and 8; `extra` as in `ResNet.forward`."""
        return cast(tuple[Tensor, Tensor], self.backbone(x, extra))

    def merge(self, low: Tensor, high: Tensor) -> Tensor:
        """Both features -> [B, channels + 32, H/4, W/4]: the pyramid's, then the skipped ones."""
        pyramid = resized(self.aspp(high), low.shape[-2:])
        return torch.cat([pyramid, self.skip_project(low)], dim=1)

    def decode(self, merged: Tensor) -> Tensor:
        """[B, channels + 32, H/4, W/4] -> [B, channels, H/4, W/4]."""
        return cast(Tensor, self.head(merged))

    def forward(self, x: Tensor, extra: Tensor | None = None) -> Tensor:
        """[B, 3, H, W] -> [B, channels, H/4, W/4]."""
        return self.decode(self.merge(*self.encode(x, extra)))


class SkipProject(nn.Module):
    """1x1 to a few channels of the early features."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.skip_project = nn.Sequential(*conv_bn_relu(inputs, SKIP_CHANNELS))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, h, w] -> [B, 32, h, w]."""
        return cast(Tensor, self.skip_project(x))


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling: one pixel, three dilations and the whole picture."""

    def __init__(self, inputs: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.concurent = nn.ModuleList(
            [
                nn.Sequential(*conv_bn_relu(inputs, channels)),
                *(nn.Sequential(*conv_bn_relu(inputs, channels, rate)) for rate in RATES),
                WholePicture(inputs, channels),
            ]
        )
        views = len(self.concurent)
        self.project = nn.Sequential(*conv_bn_relu(views * channels, channels), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, h, w] -> [B, channels, h, w]."""
        views = [branch(x) for branch in self.concurent]
        return cast(Tensor, self.project(torch.cat(views, dim=1)))


class WholePicture(nn.Module):
    """The mean of the picture's features, the same at every pixel."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.gap = nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv_bn_relu(inputs, channels))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, h, w] -> [B, channels, h, w]."""
        return cast(Tensor, self.gap(x)).expand(-1, -1, *x.shape[-2:])


class SeparableConv(nn.Module):
    """3x3 within each channel, 1x1 across them, norm, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
            *conv_bn_relu(inputs, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, h, w] -> [B, outputs, h, w]."""
        return cast(Tensor, self.body(x))


class Decoder(nn.Module):
    """Makes the merged features one."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            SeparableConv(inputs, channels),
            SeparableConv(channels, channels),
            nn.Conv2d(channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, h, w] -> [B, channels, h, w]."""
        return cast(Tensor, self.block(x))


class SeparableHead(nn.Module):
    """Features to one map of logits."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = channels // 2
        self.layers = nn.Sequential(
            SeparableConv(channels, middle),
            SeparableConv(middle, middle),
            nn.Conv2d(middle, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, h, w] -> [B, 1, h, w]."""
        return cast(Tensor, self.layers(x))


def conv_bn_relu(inputs: int, outputs: int, rate: int | None = None) -> list[nn.Module]:
    """A 1x1 convolution, or a 3x3 one dilated by `rate`; norm; ReLU."""
    if rate is None:
        conv = nn.Conv2d(inputs, outputs, 1, bias=False)
    else:
        conv = nn.Conv2d(inputs, outputs, 3, padding=rate, dilation=rate, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
