"""Segment Anything's mask decoder: a two-way transformer between prompt tokens and the picture.

Kirillov et al., Segment Anything (arXiv 2304.02643), appendix A, "Lightweight mask decoder".
Tensor names are the authors'.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.map_norm import MapNorm

MASKS = 4
"""Masks of one prompt: number 0 is for a prompt that leaves no doubt, 1 to 3 for a vague one."""


class Attention(nn.Module):
    """Multi-head attention with separate projections; `width` is the inner width."""

    def __init__(self, dim: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(dim, width)
        self.k_proj = nn.Linear(dim, width)
        self.v_proj = nn.Linear(dim, width)
        self.out_proj = nn.Linear(width, dim)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(B, n, dim), (B, m, dim), (B, m, dim) -> (B, n, dim)."""
        q, k, v = (
            self._split(projection(x))
            for projection, x in ((self.q_proj, q), (self.k_proj, k), (self.v_proj, v))
        )
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return cast("Tensor", self.out_proj(mixed.transpose(1, 2).flatten(2)))

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class TokenMlp(nn.Module):
    """Two linear layers with ReLU between."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, width)
        self.lin2 = nn.Linear(width, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        return cast("Tensor", self.lin2(functional.relu(self.lin1(x))))


class TwoWayBlock(nn.Module):
    """Tokens attend to themselves and to the picture, then the picture to the tokens."""

    def __init__(self, dim: int, heads: int, mlp: int, *, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(dim, dim, heads)
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attn_token_to_image = Attention(dim, dim // 2, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = TokenMlp(dim, mlp)
        self.norm3 = nn.LayerNorm(dim)
        self.norm4 = nn.LayerNorm(dim)
        self.cross_attn_image_to_token = Attention(dim, dim // 2, heads)

    def forward(
        self, tokens: Tensor, keys: Tensor, start: Tensor, position: Tensor
    ) -> tuple[Tensor, Tensor]:
        """New `tokens` (B, n, dim) and `keys` (B, cells, dim).

        `start` are the tokens before the first block: they serve as the tokens' position codes,
        as `position` (1, cells, dim) does for the picture's cells.
        """
        if self.first:
            # The first self-attention replaces the tokens and sees no positions.
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            placed = tokens + start
            tokens = tokens + self.self_attn(placed, placed, tokens)
        tokens = self.norm1(tokens)
        tokens = tokens + self.cross_attn_token_to_image(tokens + start, keys + position, keys)
        tokens = self.norm2(tokens)
        tokens = self.norm3(tokens + self.mlp(tokens))
        keys = keys + self.cross_attn_image_to_token(keys + position, tokens + start, tokens)
        return tokens, self.norm4(keys)


class TwoWayTransformer(nn.Module):
    """Two blocks, and a last look of the tokens at the picture."""

    def __init__(self, dim: int, heads: int, mlp: int, depth: int = 2) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayBlock(dim, heads, mlp, first=index == 0) for index in range(depth)
        )
        self.final_attn_token_to_image = Attention(dim, dim // 2, heads)
        self.norm_final_attn = nn.LayerNorm(dim)

    def forward(self, keys: Tensor, position: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, n, dim) and keys (B, cells, dim) after the exchange."""
        tokens = start
        for layer in self.layers:
            tokens, keys = layer(tokens, keys, start, position)
        look = self.final_attn_token_to_image(tokens + start, keys + position, keys)
        return self.norm_final_attn(tokens + look), keys


class Perceptron(nn.Module):
    """Three linear layers with ReLU between."""

    def __init__(self, dim: int, outputs: int) -> None:
        super().__init__()
        widths = (dim, dim, dim, outputs)
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) -> (..., outputs)."""
        for layer in list(self.layers)[:-1]:
            x = functional.relu(layer(x))
        return cast("Tensor", self.layers[-1](x))


@dataclass(frozen=True, slots=True)
class DecodedMasks:
    """`logits` (B, 4, 4*grid, 4*grid), unbounded, and the network's `scores` (B, 4) of them.

    A score estimates the mask's IoU with the object; nothing keeps it below one.
    """

    logits: Tensor
    scores: Tensor


class MaskDecoder(nn.Module):
    """Masks and scores from an embedding and an encoded prompt, of `dim` channels."""

    def __init__(self, dim: int = 256, heads: int = 8, mlp: int = 2048) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer(dim, heads, mlp)
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(MASKS, dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, 2, 2),
            MapNorm(dim // 4),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 4, dim // 8, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            Perceptron(dim, dim // 8) for _ in range(MASKS)
        )
        self.iou_prediction_head = Perceptron(dim, MASKS)

    def forward(
        self, embedding: Tensor, position: Tensor, sparse: Tensor, dense: Tensor
    ) -> DecodedMasks:
        """Decode B prompts.

        `embedding` is (1 or B, dim, g, g), `position` (1, dim, g, g) the code of its cells,
        `sparse` (B, n, dim) tokens, n may be 0, and `dense` (B, dim, g, g).
        """
        keys = embedding + dense
        batch, _, height, width = keys.shape
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own.expand(batch, -1, -1), sparse], dim=1)
        tokens, keys = self.transformer(
            keys.flatten(2).transpose(1, 2), position.flatten(2).transpose(1, 2), tokens
        )
        grid = keys.transpose(1, 2).reshape(batch, -1, height, width)
        detail = self.output_upscaling(grid)
        weights = torch.stack(
            [mlp(tokens[:, 1 + i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1
        )
        logits = weights @ detail.flatten(2)
        return DecodedMasks(
            logits.view(batch, MASKS, *detail.shape[-2:]), self.iou_prediction_head(tokens[:, 0])
        )
