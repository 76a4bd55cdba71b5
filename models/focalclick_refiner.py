"""The focus refiner: a small network that looks again at the part that a click changed.

Chen et al., "FocalClick: Towards Practical Interactive Image Segmentation", CVPR 2022, section
3.2 ("Refiner"). Tensor names are the authors'.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.resampling import resized
from models.roi_align import roi_align

WIDTH = 32
"""Channels inside the refiner."""


class Refined(NamedTuple):
    """What the refiner says of a crop, all [B, 1, h, w].

    `logits` are the refined ones, `trimap` the logits of where they differ from `coarse`, the
    coarse network's logits of the same crop.
    """

    logits: Tensor
    trimap: Tensor
    coarse: Tensor


class Refiner(nn.Module):
    """The refiner for a coarse network whose features have `channels` channels.

    `gate` makes the layer that SegFormer's checkpoints carry and that nothing uses.
    """

    def __init__(self, channels: int, *, gate: bool) -> None:
        super().__init__()
        self.image_conv1 = ConvNorm(6, WIDTH, kernel=3, stride=2)
        self.image_conv2 = SeparableConv(WIDTH)
        self.image_conv3 = SeparableConv(WIDTH)
        self.refine_fusion = ConvNorm(channels, WIDTH, kernel=1)
        self.refine_fusion2 = SeparableConv(WIDTH)
        self.refine_fusion3 = SeparableConv(WIDTH)
        if gate:
            self.feature_gate = nn.Sequential(nn.Conv2d(WIDTH, 1, 1)).requires_grad_(False)
        self.refine_pred = nn.Conv2d(WIDTH, 1, 3, padding=1)
        self.refine_trimap = nn.Conv2d(WIDTH, 1, 3, padding=1)

    def forward(
        self, image: Tensor, clicks: Tensor, features: Tensor, coarse: Tensor, regions: Tensor
    ) -> Refined:
        """Refine one crop of each picture.

        `image` [B, 3, h, w] is the crop in plain [0, 1], never normalised; `clicks` [B, 2, h, w]
        its disks. `features` [B, channels, ...] and `coarse` [B, 1, H, W] logits are those of the
        coarse network, in whose input, as large as the crop, `regions` [B, 4] (left, top, right,
        bottom) are where the crops lie.
        """
        size = (image.shape[2], image.shape[3])
        grid = (features.shape[2], features.shape[3])
        coarse = roi_align(coarse, regions, size)
        x = self.image_conv1(torch.cat([image, clicks, coarse.sigmoid()], dim=1))
        x = self.image_conv3(self.image_conv2(x))
        # The 1x1 convolution goes first: it commutes with resampling, and leaves fewer channels.
        fewer = F.conv2d(features, self.refine_fusion.conv.weight)
        context = self.refine_fusion.finished(roi_align(fewer, regions, grid, grid[1] / size[1]))
        x = x + resized(context, x.shape[-2:])
        x = self.refine_fusion3(self.refine_fusion2(x))
        trimap = resized(self.refine_trimap(x), size)
        detail = resized(self.refine_pred(x), size)
        share = trimap.sigmoid()
        return Refined(detail * share + coarse * (1 - share), trimap, coarse)


class ConvNorm(nn.Module):
    """Convolution with bias, norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, h, w] -> [B, outputs, h / stride, w / stride]."""
        return F.relu_(self.norm(self.conv(x)))

    def finished(self, x: Tensor) -> Tensor:
        """The result, of what the convolution gave without its bias: [B, outputs, h, w]."""
        assert self.conv.bias is not None  # noqa: S101 - made with one
        return F.relu_(self.norm(x + self.conv.bias.view(1, -1, 1, 1)))


class SeparableConv(nn.Module):
    """Depth-wise 3x3 convolution, 1x1 convolution, norm, ReLU; as many channels as before."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv3x3 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.conv1x1 = nn.Conv2d(channels, channels, 1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, h, w] -> the same shape."""
        return F.relu_(self.norm(self.conv1x1(self.conv3x3(x))))
