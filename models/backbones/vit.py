"""The plain vision transformer: one resolution throughout, attention mostly within windows.

Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021; with windows and a few global
blocks as in Li et al., "Exploring Plain Vision Transformer Backbones for Object Detection", ECCV
2022; pre-trained as in He et al., "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022.
Tensor names are those of the masked autoencoder.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

Grid = tuple[int, int]
"""(rows, columns) of tokens."""

WINDOW_PIXELS = 224
"""Side of an attention window, in pixels: the picture size of pre-training."""

CLASSES = 1000
NORM_EPS = 1e-6
"""Of all layer norms."""


@dataclass(frozen=True)
class VitShape:
    """The sizes of a plain ViT.

    `patch` is the side of a patch in pixels, `side` that of the pictures whose positions are
    stored, `window` that of an attention window in tokens. Every `every`-th block attends to all
    tokens, the others within their windows.
    """

    patch: int = 16
    dim: int = 768
    depth: int = 12
    heads: int = 12
    mlp_ratio: float = 4
    side: int = 448

    def __post_init__(self) -> None:
        if min(self.patch, self.dim, self.depth, self.heads, self.side) < 1:
            raise ValueError(f"the sizes of a ViT are at least 1: {self}")
        if WINDOW_PIXELS % self.patch or self.side % self.patch or self.dim % self.heads:
            raise ValueError(
                f"a ViT's patch ({self.patch}) divides {WINDOW_PIXELS} and the side"
                f" ({self.side}), its heads ({self.heads}) divide the width ({self.dim})"
            )

    @property
    def window(self) -> int:
        """Side of an attention window in tokens."""
        return WINDOW_PIXELS // self.patch

    @property
    def every(self) -> int:
        """Which blocks are global: every sixth of twelve, else a quarter of them all."""
        return 6 if self.depth == 12 else max(1, self.depth // 4)

    @property
    def grid(self) -> int:
        """Side of the grid of stored positions."""
        return self.side // self.patch


class PatchEmbed(nn.Module):
    """Patches as tokens: [B, C, H, W] -> [B, H/patch * W/patch, D], row after row."""

    def __init__(self, channels: int, shape: VitShape) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, shape.dim, shape.patch, stride=shape.patch)

    def forward(self, x: Tensor) -> Tensor:
        """See the class; a rest at the right or at the bottom is dropped."""
        tokens: Tensor = self.proj(x).flatten(2).transpose(1, 2)
        return tokens


class Attention(nn.Module):
    """Multi-head self-attention with one projection for queries, keys and values."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, D] -> [B, N, D]."""
        batch, count, dim = x.shape
        qkv = self.qkv(x).view(batch, count, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attended = functional.scaled_dot_product_attention(query, key, value)
        projected: Tensor = self.proj(attended.transpose(1, 2).reshape(batch, count, dim))
        return projected


class Mlp(nn.Module):
    """Two layers with a GELU between them."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, inner)
        self.fc2 = nn.Linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., D]."""
        y: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return y


class Block(nn.Module):
    """Attention and MLP, each after its norm and beside a shortcut."""

    def __init__(self, shape: VitShape) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(shape.dim, eps=NORM_EPS)
        self.attn = Attention(shape.dim, shape.heads)
        self.norm2 = nn.LayerNorm(shape.dim, eps=NORM_EPS)
        self.mlp = Mlp(shape.dim, int(shape.dim * shape.mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, D] -> [B, N, D]."""
        x = x + self.attn(self.norm1(x))
        y: Tensor = x + self.mlp(self.norm2(x))
        return y


class PlainVit(nn.Module):
    """The transformer without a final norm, as dense prediction uses it.

    `cls_token`, `fc_norm` and `head` do nothing here: the class token and classifier of
    pre-training, which the authors' files contain.
    """

    def __init__(self, shape: VitShape) -> None:
        super().__init__()
        self.shape = shape
        self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.dim))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + shape.grid**2, shape.dim))
        self.patch_embed = PatchEmbed(3, shape)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.fc_norm = nn.LayerNorm(shape.dim, eps=NORM_EPS)
        self.head = nn.Linear(shape.dim, CLASSES)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, image: Tensor, extra: Tensor | None = None) -> Tensor:
        """Features [B, D, H/patch, W/patch] of a picture [B, 3, H, W].

        `extra` [B, N, D] is added to the picture's tokens. Both sides are multiples of
        `WINDOW_PIXELS`; raises ValueError otherwise.
        """
        grid = self.grid_of(image)
        x = self.patch_embed(image)
        if extra is not None:
            x = x + extra
        x = self.attended(x + self.positions(grid)[:, 1:], grid)
        return as_map(x, grid)

    def grid_of(self, image: Tensor) -> Grid:
        """The grid of tokens of a picture [B, C, H, W]. Raises ValueError as `forward` does."""
        height, width = image.shape[-2:]
        if height % WINDOW_PIXELS or width % WINDOW_PIXELS or not height * width:
            raise ValueError(
                f"the network sees pictures whose sides are multiples of {WINDOW_PIXELS}, and"
                f" this one is {height} x {width}"
            )
        return height // self.shape.patch, width // self.shape.patch

    def positions(self, grid: Grid) -> Tensor:
        """The position embedding of a grid, [1, 1 + rows * columns, D], the class token's first.

        A pure function of the grid: bicubic from the stored one, without antialiasing.
        """
        stored = (self.shape.grid, self.shape.grid)
        if grid == stored:
            return self.pos_embed
        first, rest = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        field = functional.interpolate(
            as_map(rest, stored), grid, mode="bicubic", align_corners=False
        )
        return torch.cat([first, field.flatten(2).transpose(1, 2)], dim=1)

    def attended(self, x: Tensor, grid: Grid) -> Tensor:
        """All blocks: [B, rows * columns, D] -> the same shape.

        Tokens are put into windows once for each run of blocks that stay within them.
        """
        inside = False
        for index, block in enumerate(self.blocks, start=1):
            within = index % self.shape.every != 0
            if within and not inside:
                x = into_windows(x, grid, self.shape.window)
            elif inside and not within:
                x = out_of_windows(x, grid, self.shape.window)
            inside = within
            x = block(x)
        return out_of_windows(x, grid, self.shape.window) if inside else x


def as_map(tokens: Tensor, grid: Grid) -> Tensor:
    """Tokens [B, rows * columns, D], row after row -> [B, D, rows, columns]."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], *grid)


def into_windows(x: Tensor, grid: Grid, window: int) -> Tensor:
    """Tokens [B, rows * columns, D], row after row -> [B * windows, window**2, D]."""
    rows, columns = (count // window for count in grid)
    tiles = x.reshape(x.shape[0], rows, window, columns, window, x.shape[2]).transpose(2, 3)
    return tiles.reshape(-1, window**2, x.shape[2])


def out_of_windows(x: Tensor, grid: Grid, window: int) -> Tensor:
    """The inverse of `into_windows`."""
    rows, columns = (count // window for count in grid)
    tiles = x.reshape(-1, rows, columns, window, window, x.shape[2]).transpose(2, 3)
    return tiles.reshape(-1, grid[0] * grid[1], x.shape[2])
