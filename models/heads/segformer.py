"""SegFormer's decoder: four linear layers bring the maps of a MiT together, a fifth classifies.

Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers",
NeurIPS 2021, section 3.2. Tensor names are the authors'.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.backbones.mit import Grid, as_map, as_tokens


class Projection(nn.Module):
    """A linear layer for every pixel of a map."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.proj = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, h, w] -> [B, outputs, h, w]."""
        return as_map(self.proj(as_tokens(x)), Grid(x.shape[2], x.shape[3]))


class Fusion(nn.Module):
    """1x1 convolution without bias, norm, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, h, w] -> [B, outputs, h, w]."""
        return F.relu(self.bn(self.conv(x)))


class SegFormerHead(nn.Module):
    """The decoder of width `width` on maps of `dims` channels, finest first."""

    def __init__(self, dims: Sequence[int], width: int) -> None:
        super().__init__()
        for stage in range(len(dims), 0, -1):
            self.add_module(f"linear_c{stage}", Projection(dims[stage - 1], width))
        self.linear_fuse = Fusion(len(dims) * width, width)
        self.dropout = nn.Dropout2d(0.1)
        self.linear_pred = nn.Conv2d(width, 1, 1)
        self.stages = len(dims)

    def features(self, maps: Sequence[Tensor]) -> Tensor:
        """The maps of the stages, finest first -> [B, width, H/4, W/4]."""
        size = maps[0].shape[-2:]
        parts = [
            enlarged(self.get_submodule(f"linear_c{stage}")(maps[stage - 1]), size)
            for stage in range(self.stages, 0, -1)
        ]
        return cast(Tensor, self.dropout(self.linear_fuse(torch.cat(parts, dim=1))))

    def classify(self, features: Tensor) -> Tensor:
        """[B, width, h, w] -> logits [B, 1, h, w]."""
        return cast(Tensor, self.linear_pred(features))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The maps of the stages, finest first -> logits [B, 1, H/4, W/4]."""
        return self.classify(self.features(maps))


class FoldedSegFormerHead(nn.Module):
    """The same decoder for inference, with everything linear before the ReLU made one.

    Projection, fusion and norm are linear in each map by itself and commute with enlarging it, so
    each map goes through one small layer at its own resolution, and what is enlarged is added up:
    the same sums in another order. Tensor names are its own; it is not for saving or training.
    """

    def __init__(self, head: SegFormerHead) -> None:
        super().__init__()
        head = copy.deepcopy(head).eval()
        fusion = fuse_conv_bn_eval(head.linear_fuse.conv, head.linear_fuse.bn)
        assert fusion.bias is not None  # noqa: S101 - folding a norm makes one
        blocks = fusion.weight.detach().double().flatten(1).chunk(head.stages, dim=1)
        self.projections = nn.ModuleList()
        for stage, block in zip(range(head.stages, 0, -1), blocks, strict=True):
            layer = cast(Projection, head.get_submodule(f"linear_c{stage}"))
            self.projections.insert(0, _composed(layer, block))
        with torch.no_grad():
            cast(Projection, self.projections[0]).proj.bias.add_(fusion.bias)
        last = head.linear_pred
        self.last = Projection(last.in_channels, 1)
        self.last.proj.load_state_dict({"weight": last.weight.flatten(1), "bias": last.bias})

    def features(self, maps: Sequence[Tensor]) -> Tensor:
        """As `SegFormerHead.features`."""
        size = maps[0].shape[-2:]
        total: Tensor = self.projections[0](maps[0])
        for layer, values in zip(self.projections[1:], maps[1:], strict=True):
            total = total.add_(enlarged(layer(values), size))
        return F.relu_(total)

    def classify(self, features: Tensor) -> Tensor:
        """As `SegFormerHead.classify`."""
        return cast(Tensor, self.last(features))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """As `SegFormerHead.forward`."""
        return self.classify(self.features(maps))


def _composed(layer: Projection, block: Tensor) -> Projection:
    """The projection followed by a linear map [outputs, inputs], float64, as one."""
    outputs, inputs = block.shape[0], layer.proj.in_features
    made = Projection(inputs, outputs)
    with torch.no_grad():
        made.proj.weight.copy_(block @ layer.proj.weight.double())
        made.proj.bias.copy_(block @ layer.proj.bias.double())
    return made


def enlarged(x: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """[B, C, h, w] to `size`, bilinear, pixel areas on pixel areas (align_corners=False)."""
    if x.shape[-2:] == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)
