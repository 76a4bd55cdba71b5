"""From one feature map to a mask: a pyramid made of it, and a head of 1x1 convolutions.

Li et al., "Exploring Plain Vision Transformer Backbones for Object Detection", ECCV 2022, section
3 (the pyramid); Xie et al., "SegFormer", NeurIPS 2021, section 3.2 (the head); joined in Liu et
al., "SimpleClick", ICCV 2023, section 3. Tensor names are the authors' of the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Upsampling = Literal["x1", "x2", "x4"]
Widths = tuple[int, int, int, int]


def _doubled(inputs: int, outputs: int) -> list[nn.Module]:
    """Twice the resolution, then a norm over the whole map."""
    return [nn.ConvTranspose2d(inputs, outputs, 2, stride=2), nn.GroupNorm(1, outputs)]


def _mixed(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 1), nn.GroupNorm(1, outputs), nn.GELU()]


class SimplePyramid(nn.Module):
    """Four maps of one: four and two times as fine, as it is, and half as fine."""

    def __init__(self, dim: int, widths: Widths) -> None:
        super().__init__()
        finest, fine, same, coarse = widths
        inner = max(2 * finest, dim // 2)
        self.down_4 = nn.Sequential(
            *_doubled(dim, inner),
            nn.GELU(),
            *_doubled(inner, inner // 2),
            *_mixed(inner // 2, finest),
        )
        inner = max(fine, dim // 2)
        self.down_8 = nn.Sequential(*_doubled(dim, inner), *_mixed(inner, fine))
        self.down_16 = nn.Sequential(*_mixed(dim, same))
        inner = max(coarse, 2 * dim)
        self.down_32 = nn.Sequential(
            nn.Conv2d(dim, inner, 2, stride=2), nn.GroupNorm(1, inner), *_mixed(inner, coarse)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """[B, D, h, w] -> [B, Ci, 4h, 4w], [.., 2h, 2w], [.., h, w], [.., h/2, w/2]."""
        return [self.down_4(x), self.down_8(x), self.down_16(x), self.down_32(x)]


class _Conv(nn.Module):
    """A 1x1 convolution and a ReLU, under the name that the authors' files give it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, h, w] -> [B, outputs, h, w]."""
        return functional.relu(self.conv(x))


class PyramidHead(nn.Module):
    """Every level to one width and to the finest resolution, fused into one logit.

    `up_conv1` and `up_conv2` double the resolution before the last layer, once for "x2" and both
    for "x4"; they are part of every file, and without effect for "x1". `channels` is the width
    that the last layer sees, 256, 128 or 64 for the three in networks as published.
    """

    def __init__(self, widths: Sequence[int], channels: int, upsample: Upsampling = "x1") -> None:
        super().__init__()
        self.upsample = upsample
        width = channels * {"x1": 1, "x2": 2, "x4": 4}[upsample]
        self.convs = nn.ModuleList(_Conv(inputs, width) for inputs in widths)
        self.fusion_conv = _Conv(len(widths) * width, width)
        half, quarter = width // 2, width // 4
        self.up_conv1 = nn.Sequential(*_doubled(width, half), *_mixed(half, half))
        self.up_conv2 = nn.Sequential(*_doubled(half, quarter), *_mixed(quarter, quarter))
        self.dropout = nn.Dropout2d(0.1)
        self.conv_seg = nn.Conv2d(channels, 1, 1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Levels [B, Ci, hi, wi], the finest first -> logits [B, 1, h0, w0] or finer."""
        size = levels[0].shape[-2:]
        maps = [conv(level) for conv, level in zip(self.convs, levels, strict=True)]
        maps = [functional.interpolate(m, size, mode="bilinear", align_corners=False) for m in maps]
        fused = self.fusion_conv(torch.cat(maps, dim=1))
        if self.upsample != "x1":
            fused = self.up_conv1(fused)
        if self.upsample == "x4":
            fused = self.up_conv2(fused)
        logits: Tensor = self.conv_seg(self.dropout(fused))
        return logits
