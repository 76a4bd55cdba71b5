"""The TransT network: a template and a search region in, a score and a box per cell out.

Chen et al., "Transformer Tracking", CVPR 2021. Tensor names are the authors', so that their files
load strictly.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.backbones.resnet import PlainResNet, StageShape
from models.transt_fusion import WIDTH, FeatureFusion, Grid, Pair, sine_positions

STRIDE = 8
SHAPES = (StageShape(), StageShape(stride=2), StageShape(first_dilation=2))
"""The third stage is dilated in its first block alone, and nowhere strided."""

LAYERS = (4, 2)
"""Numbers of fusion layers of the published networks, N4 and N2."""


class Found(NamedTuple):
    """What the heads say of every cell of the search region, row by row.

    `logits` [B, N, 2]: target, then background. `boxes` [B, N, 4]: centre x, centre y, width and
    height in parts of the search region's side.
    """

    logits: Tensor
    boxes: Tensor


class Mlp(nn.Module):
    """Three linear layers with ReLU between them."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, outputs)]
        )

    def forward(self, x: Tensor) -> Tensor:
        """[..., 256] -> [..., outputs]."""
        for layer in self.layers[:-1]:
            x = F.relu_(layer(x))
        last: Tensor = self.layers[-1](x)
        return last


class Body(nn.Module):
    """The backbone under the name that the authors' tensors have."""

    def __init__(self) -> None:
        super().__init__()
        self.body = PlainResNet(50, SHAPES)

    def forward(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, 1024, H/8, W/8]."""
        stages: list[Tensor] = self.body(images)
        return stages[-1]


class TransTNetwork(nn.Module):
    """TransT with `layers` fusion layers. Pictures are normalised by ImageNet's mean and spread."""

    def __init__(self, layers: int = LAYERS[0]) -> None:
        super().__init__()
        self.backbone = nn.Sequential(Body())
        self.input_proj = nn.Conv2d(1024, WIDTH, 1)
        self.featurefusion_network = FeatureFusion(layers)
        self.class_embed = Mlp(2)
        self.bbox_embed = Mlp(4)

    @property
    def layers(self) -> int:
        """How many fusion layers there are."""
        return len(self.featurefusion_network.encoder.layers)

    def encode(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] -> projected features [B, 256, H/8, W/8]: all that matching needs."""
        projected: Tensor = self.input_proj(self.backbone(images))
        return projected

    def match(self, template: Tensor, search: Tensor) -> Found:
        """Find the template [B, 256, h, w] in the search region [B, 256, H, W], both encoded."""
        grids = [_grid(features) for features in (template, search)]
        tokens = Pair(template.flatten(2).mT, search.flatten(2).mT)
        decoded = self.featurefusion_network(tokens, *grids)
        return self.heads(decoded)

    def heads(self, tokens: Tensor) -> Found:
        """Scores and boxes of decoded search tokens [B, N, 256]."""
        return Found(self.class_embed(tokens), self.bbox_embed(tokens).sigmoid())

    def forward(self, template: Tensor, search: Tensor) -> Found:
        """Find the object of template [B, 3, h, w] in search [B, 3, H, W]."""
        return self.match(self.encode(template), self.encode(search))


def _grid(features: Tensor) -> Grid:
    height, width = features.shape[-2:]
    positions = sine_positions(height, width).to(features)
    return Grid(positions)


def layers_of(names: list[str]) -> int:
    """How many fusion layers a state dict with these tensor names has."""
    prefix = "featurefusion_network.encoder.layers."
    numbers = {name[len(prefix) :].partition(".")[0] for name in names if name.startswith(prefix)}
    return len(numbers)


def normalised(pictures: Tensor) -> Tensor:
    """uint8 [B, H, W, 3] as the network sees it: float32 [B, 3, H, W]."""
    mean = torch.tensor([0.485, 0.456, 0.406], device=pictures.device)
    spread = torch.tensor([0.229, 0.224, 0.225], device=pictures.device)
    return ((pictures.float() / 255 - mean) / spread).permute(0, 3, 1, 2)
