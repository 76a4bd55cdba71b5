"""Object-contextual representations on HRNet features, for one object class.

Yuan et al., "Object-Contextual Representations for Semantic Segmentation", 2020. The tensor names
are those of the authors' code, which keeps head and backbone in one namespace.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from models.backbones.hrnet import HRNet


class HeadLogits(NamedTuple):
    """Logits [B, 1, h, w] at the resolution of the features, and the auxiliary head's own."""

    logits: Tensor
    aux: Tensor | None


class SegmentationHRNet(HRNet):
    """HRNet with an OCR head of width `ocr_width`, or a plain head where that is 0."""

    def __init__(self, width: int, ocr_width: int, *, small: bool = False) -> None:
        super().__init__(width, small=small)
        channels = self.channels
        self.ocr_width = ocr_width
        self.cls_head: nn.Module
        if ocr_width == 0:
            self.cls_head = nn.Sequential(*conv_bn(channels, channels, 3), one_map(channels))
            return
        middle = 2 * ocr_width
        self.conv3x3_ocr = nn.Sequential(*conv_bn(channels, middle, 3))
        self.ocr_distri_head = ObjectContext(middle, ocr_width)
        self.cls_head = one_map(middle)
        self.aux_head = nn.Sequential(*conv_bn(channels, channels, 1), one_map(channels))

    def context(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features [B, 15 w, h, w] -> those that `cls_head` reads, and the auxiliary logits."""
        if self.ocr_width == 0:
            return features, None
        aux = self.aux_head(features)
        pixels = self.conv3x3_ocr(features)
        return self.ocr_distri_head(pixels, gathered(pixels, aux)), aux

    def classify(self, features: Tensor) -> HeadLogits:
        """Features [B, 15 w, h, w] -> logits of the same size."""
        features, aux = self.context(features)
        return HeadLogits(self.cls_head(features), aux)


class ObjectContext(nn.Module):
    """Adds to every pixel what is known of the object as a whole."""

    def __init__(self, channels: int, keys: int) -> None:
        super().__init__()
        self.object_context_block = nn.ModuleDict(
            {
                "f_pixel": nn.Sequential(*conv_bn_1x1(channels, keys), *conv_bn_1x1(keys, keys)),
                "f_object": nn.Sequential(*conv_bn_1x1(channels, keys), *conv_bn_1x1(keys, keys)),
                "f_down": nn.Sequential(*conv_bn_1x1(channels, keys)),
                "f_up": nn.Sequential(*conv_bn_1x1(keys, channels)),
            }
        )
        self.conv_bn_dropout = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 1, bias=False),
            nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True)),
            nn.Dropout2d(0.05),
        )

    def forward(self, pixels: Tensor, vector: Tensor) -> Tensor:
        """Pixels [B, C, h, w] and object vector [B, C, 1, 1] -> [B, C, h, w].

        Attention over a single object is 1 everywhere, whatever `f_pixel` and `f_object` say, so
        they are never run.
        """
        block = self.object_context_block
        context = block["f_up"](block["f_down"](vector))
        both = torch.cat([context.expand_as(pixels), pixels], dim=1)
        return cast(Tensor, self.conv_bn_dropout(both))


def gathered(pixels: Tensor, aux: Tensor) -> Tensor:
    """Mean of [B, C, h, w] over space, weighted by the softmax of logits [B, 1, h, w]."""
    weights = aux.flatten(2).softmax(dim=2)
    vector = torch.matmul(weights, pixels.flatten(2).transpose(1, 2))
    return vector.transpose(1, 2).unsqueeze(3)


def conv_bn(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    """Convolution with bias that keeps the size, norm, ReLU."""
    return [
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


def conv_bn_1x1(inputs: int, outputs: int) -> list[nn.Module]:
    """1x1 convolution without bias, then norm and ReLU as one."""
    norm = nn.Sequential(nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
    return [nn.Conv2d(inputs, outputs, 1, bias=False), norm]


def one_map(channels: int) -> nn.Conv2d:
    """1x1 convolution to a single map of logits."""
    return nn.Conv2d(channels, 1, 1)
