"""MiT, the mask transformer of SegFormer: four stages of attention on ever coarser grids.

Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers",
NeurIPS 2021, section 3.1. A second picture, of clicks and the previous mask, may enter beside the
first. Tensor names are the authors'.

Tokens are float [B, N, C] with N = h * w, row by row: the memory of a map whose channels lie
innermost, so that neither way of looking at them copies anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from itertools import accumulate
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLOCK_EPS = 1e-6
"""Of the norms of blocks and stages; patch embeddings and reduced keys have 1e-5."""

STAGES = (1, 2, 3, 4)

Weigh = Callable[[int, Tensor, "Grid"], Tensor | None]
"""(stage, its tokens [B, N, C] before its blocks, grid) -> weights [B, N, 1] of the attention's
output, or None to leave it as it is."""


class Grid(NamedTuple):
    """How tokens lie: rows and columns."""

    height: int
    width: int


class SideEntry(Enum):
    """Where the embedding of the second picture is added."""

    FIRST_BLOCKS = auto()
    """To that of the picture, before the blocks of stage 1 (ClickAttention)."""

    SECOND_EMBEDDING = auto()
    """To the finished map of stage 1, only on its way into stage 2 (FocalClick)."""


@dataclass(frozen=True, slots=True)
class MitShape:
    """The sizes of a MiT, stage by stage; `reductions` are the strides of keys and values."""

    dims: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    heads: tuple[int, int, int, int] = (1, 2, 5, 8)
    reductions: tuple[int, int, int, int] = (8, 4, 2, 1)
    mlp_ratio: int = 4
    drop_path: float = 0.1


MIT_B0 = MitShape((32, 64, 160, 256), (2, 2, 2, 2))
MIT_B3 = MitShape((64, 128, 320, 512), (3, 4, 18, 3))


class Stages(NamedTuple):
    """What a MiT gives out.

    `maps` are those of the four stages, [B, C, H/4, W/4] to [B, C, H/32, W/32]. `attention` has,
    for each stage asked for, one matrix [B, heads, N, M] a block.
    """

    maps: tuple[Tensor, ...]
    attention: Mapping[int, list[Tensor]]


class MixTransformer(nn.Module):
    """A MiT; with `side_channels` a second picture enters at `entry`."""

    def __init__(
        self,
        shape: MitShape,
        side_channels: int = 0,
        entry: SideEntry = SideEntry.SECOND_EMBEDDING,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.entry = entry
        count = sum(shape.depths)
        rates = [shape.drop_path * index / (count - 1) for index in range(count)]
        ends = list(accumulate(shape.depths))
        inputs = 3
        for index, stage in enumerate(STAGES):
            dim = shape.dims[index]
            embedding = PatchEmbedding(inputs, dim, *((7, 4) if stage == 1 else (3, 2)))
            self.add_module(f"patch_embed{stage}", embedding)
            chain = [
                Block(dim, shape.heads[index], shape.reductions[index], shape.mlp_ratio, rate)
                for rate in rates[ends[index] - shape.depths[index] : ends[index]]
            ]
            self.add_module(f"block{stage}", nn.ModuleList(chain))
            self.add_module(f"norm{stage}", nn.LayerNorm(dim, eps=BLOCK_EPS))
            inputs = dim
        if side_channels:
            self.patch_embed_side1 = PatchEmbedding(side_channels, shape.dims[0], 7, 4)
        self.apply(initialise)

    def forward(
        self,
        image: Tensor,
        side: Tensor | None = None,
        *,
        weigh: Weigh | None = None,
        keep: Collection[int] = (),
    ) -> Stages:
        """The stages' maps of a picture.

        `image` is float [B, 3, H, W], `side` the second picture [B, side_channels, H, W]; H and W
        are multiples of 32. `weigh` is asked once a stage, before its blocks. `keep` names the
        stages whose attention matrices are wanted: no others are ever built.
        """
        extra = None if side is None else self.patch_embed_side1(side)[0]
        x, maps, attention = image, [], {}
        for stage in STAGES:
            tokens, grid = self.get_submodule(f"patch_embed{stage}")(x)
            if extra is not None and stage == 1 and self.entry is SideEntry.FIRST_BLOCKS:
                tokens = tokens + extra
            weights = None if weigh is None else weigh(stage, tokens, grid)
            kept: list[Tensor] | None = [] if stage in keep else None
            for block in cast(nn.ModuleList, self.get_submodule(f"block{stage}")):
                tokens = block(tokens, grid, weights, kept)
            tokens = self.get_submodule(f"norm{stage}")(tokens)
            x = as_map(tokens, grid)
            maps.append(x)
            if kept is not None:
                attention[stage] = kept
            if extra is not None and stage == 1 and self.entry is SideEntry.SECOND_EMBEDDING:
                x = as_map(tokens + extra, grid)
        return Stages(tuple(maps), attention)


class PatchEmbedding(nn.Module):
    """Overlapping patches of a map as normed tokens."""

    def __init__(self, inputs: int, dim: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, dim, kernel, stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Grid]:
        """[B, inputs, H, W] -> tokens [B, N, dim] and how they lie."""
        x = self.proj(x)
        return self.norm(as_tokens(x)), Grid(x.shape[2], x.shape[3])


class Block(nn.Module):
    """Attention, then a mix feed-forward network, each behind a norm and beside a shortcut."""

    def __init__(
        self, dim: int, heads: int, reduction: int, mlp_ratio: int, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=BLOCK_EPS)
        self.attn = Attention(dim, heads, reduction)
        self.norm2 = nn.LayerNorm(dim, eps=BLOCK_EPS)
        self.mlp = MixFfn(dim, mlp_ratio * dim, dim)
        self.drop_path = DropPath(drop_path)

    def forward(
        self, x: Tensor, grid: Grid, weights: Tensor | None = None, kept: list[Tensor] | None = None
    ) -> Tensor:
        """Tokens [B, N, C] -> the same shape; the rest as `Attention.forward` says."""
        x = x + self.drop_path(self.attn(self.norm1(x), grid, weights, kept))
        return cast(Tensor, x + self.drop_path(self.mlp(self.norm2(x), grid)))


class Attention(nn.Module):
    """Self-attention whose keys and values come from a grid `reduction` times as coarse."""

    def __init__(self, dim: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)
        self.reduced = reduction > 1
        if self.reduced:
            self.sr = nn.Conv2d(dim, dim, reduction, reduction)
            self.norm = nn.LayerNorm(dim)

    def forward(
        self, x: Tensor, grid: Grid, weights: Tensor | None = None, kept: list[Tensor] | None = None
    ) -> Tensor:
        """Tokens [B, N, C] -> the same shape.

        `weights` [B, N, 1] multiply the rows of the attention matrix, which then no longer sum to
        one. `kept` collects that matrix, [B, heads, N, M]; without it none is built.
        """
        source = self.norm(as_tokens(self.sr(as_map(x, grid)))) if self.reduced else x
        query = self._by_head(self.q(x))
        key, value = (self._by_head(part) for part in self.kv(source).chunk(2, dim=2))
        if kept is None:
            mixed = F.scaled_dot_product_attention(query, key, value)
            # Scaling a row of the matrix scales that token's sum of values, and nothing else.
            mixed = mixed if weights is None else mixed * weights[:, None]
        else:
            scale = 1 / math.sqrt(query.shape[3])
            matrix = (query @ key.transpose(2, 3) * scale).softmax(dim=3)
            matrix = matrix if weights is None else matrix * weights[:, None]
            kept.append(matrix)
            mixed = matrix @ value
        return cast(Tensor, self.proj(mixed.transpose(1, 2).flatten(2)))

    def _by_head(self, x: Tensor) -> Tensor:
        """[B, N, C] -> [B, heads, N, C / heads]."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class MixFfn(nn.Module):
    """A feed-forward network whose 3x3 depth-wise convolution lets tokens see where they are."""

    def __init__(self, inputs: int, hidden: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(inputs, hidden)
        self.dwconv = DepthWise(hidden)
        self.fc2 = nn.Linear(hidden, outputs)
        self.dropout = dropout

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        """Tokens [B, N, inputs] -> [B, N, outputs]."""
        x = F.gelu(self.dwconv(self.fc1(x), grid))
        x = self.fc2(self._dropped(x))
        return self._dropped(x)

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x


class DepthWise(nn.Module):
    """A 3x3 convolution of each channel on its own."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        """Tokens [B, N, C] -> the same shape."""
        return as_tokens(self.dwconv(as_map(x, grid)))


class DropPath(nn.Module):
    """Leaves a branch out of whole samples in training (stochastic depth); the others make up."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x` [B, ...]."""
        if not self.training or not self.rate:
            return x
        stays = torch.rand(x.shape[0], *(1,) * (x.dim() - 1), device=x.device) >= self.rate
        return x * stays / (1 - self.rate)


def as_map(tokens: Tensor, grid: Grid) -> Tensor:
    """[B, N, C] -> [B, C, h, w], the same memory."""
    return tokens.view(tokens.shape[0], *grid, tokens.shape[2]).permute(0, 3, 1, 2)


def as_tokens(x: Tensor) -> Tensor:
    """[B, C, h, w] -> [B, N, C], the same memory."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def initialise(module: nn.Module) -> None:
    """Fresh values for one layer: truncated normal for linear, He by fan-out for convolutions."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
