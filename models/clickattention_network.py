"""The ClickAttention network: SegFormer with clicks, and a weight for every patch.

"ClickAttention: Click Region Similarity Guided Interactive Segmentation", arXiv 2408.06021. The
weight says how similar a patch is to the positively clicked ones. As the authors published it,
weights are computed and supervised but never enter the attention (mode `released`); the paper
multiplies the attention by them (mode `paper`). Tensor names are the authors'.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.backbones.mit import (
    MIT_B0,
    MIT_B3,
    Grid,
    MitShape,
    MixFfn,
    MixTransformer,
    SideEntry,
    as_map,
    initialise,
)
from models.clickattention_config import ClickAttentionConfig, Mode, Version
from models.clicks_encoding import DistMaps
from models.heads.segformer import FoldedSegFormerHead, SegFormerHead
from models.resampling import resized

RADIUS = 5
"""Of a click's disk, in pixels of the network's input."""

SIDE_CHANNELS = 3
"""The previous mask, positive and negative clicks."""

FEWEST = 2
"""Positive clicks that make a weight; with fewer, all weights are one."""

SHAPES: Mapping[Version, MitShape] = {"b0": MIT_B0, "b3": MIT_B3}
WIDTHS: Mapping[Version, int] = {"b0": 256, "b3": 512}


class Output(NamedTuple):
    """Logits [B, 1, H, W] and, where asked for, what the additional losses need.

    `weights` has a map [B, 1, h, w] in [0, 1] for each stage with a weight module, `attention`
    one matrix [B, heads, N, M] for each block of such a stage. `positives` int64 [B] counts the
    positive clicks; a sample with fewer than `FEWEST` has weights of one.
    """

    instances: Tensor
    weights: Mapping[int, Tensor]
    attention: Mapping[int, list[Tensor]]
    positives: Tensor


class SimilarityWeights(nn.Module):
    """How similar each token is to those under positive clicks."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mlp_x = MixFfn(dim, 4 * dim, 2 * dim, dropout=0.5)
        self.mlp_z = MixFfn(dim, 4 * dim, 2 * dim, dropout=0.5)

    def forward(self, x: Tensor, grid: Grid, clicked: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [B, N, C] and int64 [B, P] numbers of clicked tokens -> weights, and their count.

        Weights are [B, N, 1] in [0, 1], all one where fewer than `FEWEST` tokens are clicked;
        counts int64 [B]. Numbers outside 0..N-1 are no clicks; a token clicked twice counts twice.
        """
        valid = (clicked >= 0) & (clicked < x.shape[1])
        count = valid.sum(dim=1)
        places = torch.where(valid, clicked, 0)[..., None].expand(-1, -1, x.shape[2])
        picked = x.gather(1, places) * valid[..., None]
        mean = picked.sum(dim=1, keepdim=True) / count.clamp(min=1)[:, None, None]
        target = self.mlp_z(mean, Grid(1, 1))
        similarity = torch.einsum("bnc,bmc->bn", self.mlp_x(x, grid), target)
        # Over the tokens of a picture, not over channels: the weights compare patches.
        weights = F.layer_norm(similarity, similarity.shape[1:]).sigmoid()
        weights = torch.where((count >= FEWEST)[:, None], weights, 1.0)
        return weights[..., None], count


class WeightedMixTransformer(MixTransformer):
    """A MiT whose `stages` have weight modules; clicks enter before the first block."""

    def __init__(self, shape: MitShape, stages: Collection[int]) -> None:
        super().__init__(shape, SIDE_CHANNELS, SideEntry.FIRST_BLOCKS)
        for stage in stages:
            weights = SimilarityWeights(shape.dims[stage - 1])
            self.add_module(f"attn_weight{stage}", weights.apply(initialise))


class FeatureExtractor(nn.Module):
    """Backbone and decoder, under the authors' names."""

    def __init__(self, config: ClickAttentionConfig) -> None:
        super().__init__()
        shape = SHAPES[config.version]
        self.backbone = WeightedMixTransformer(shape, config.stages)
        self.decode_head: SegFormerHead | FoldedSegFormerHead = SegFormerHead(
            shape.dims, WIDTHS[config.version]
        )


class ClickAttentionNetwork(nn.Module):
    """Picture, clicks and previous mask to logits. `mode` may be changed at any time."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: ClickAttentionConfig, mode: Mode = "released") -> None:
        super().__init__()
        self.config = config
        self.mode = mode
        rows = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        mean, std = (torch.tensor(row).view(1, 3, 1, 1) for row in rows)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.dist_maps = DistMaps(RADIUS, disks=True)
        self.feature_extractor = FeatureExtractor(config)

    def forward(
        self,
        image: Tensor,
        points: Tensor,
        previous: Tensor | None = None,
        *,
        supervised: bool | None = None,
    ) -> Output:
        """Logits at the picture's size and, `supervised`, what the additional losses need.

        `image` [B, 3, H, W] is RGB in [0, 1], H and W multiples of 32; `points` [B, 2P, 3] as
        `DistMaps` reads them; `previous` [B, 1, H, W] the previous probabilities, None for none.
        `supervised` is None for in training alone: attention matrices take much memory.
        """
        supervised = self.training if supervised is None else supervised
        if previous is None:
            previous = image.new_zeros((image.shape[0], 1, *image.shape[2:]))
        clicks = self.dist_maps(points, (image.shape[2], image.shape[3]))
        side = torch.cat([previous, clicks], dim=1)
        positive = points[:, : points.shape[1] // 2]
        weights: dict[int, Tensor] = {}

        def weigh(stage: int, tokens: Tensor, grid: Grid) -> Tensor | None:
            if stage not in self.config.stages or not (supervised or self._weighs(positive)):
                return None
            clicked = patch_numbers(positive, image.shape[2] // grid.height, grid)
            module = self.feature_extractor.backbone.get_submodule(f"attn_weight{stage}")
            found: Tensor = module(tokens, grid, clicked)[0]
            weights[stage] = as_map(found, grid)
            return found if self.mode == "paper" else None

        keep = self.config.stages if supervised else ()
        extractor = self.feature_extractor
        stages = extractor.backbone((image - self.mean) / self.std, side, weigh=weigh, keep=keep)
        logits = resized(extractor.decode_head(stages.maps), image.shape[-2:])
        return Output(logits, weights, stages.attention, present(positive).sum(dim=1))

    def _weighs(self, positive: Tensor) -> bool:
        """Whether weights change the logits: not where they are not used, or are sure to be one."""
        return self.mode == "paper" and bool((present(positive).sum(dim=1) >= FEWEST).any())


def present(points: Tensor) -> Tensor:
    """Which points [B, P, 3] stand for a click: bool [B, P]."""
    return points[..., :2].amax(dim=2) >= 0


def patch_numbers(points: Tensor, stride: int, grid: Grid) -> Tensor:
    """The numbers of the patches, `stride` pixels wide, under points [B, P, 3]: int64 [B, P].

    Patches are counted row by row; an absent point has a negative number.
    """
    rows, columns, _ = points.div(stride, rounding_mode="floor").long().unbind(dim=2)
    return rows * grid.width + columns
