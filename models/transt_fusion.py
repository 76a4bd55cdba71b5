"""TransT's feature fusion: attention within and across template and search region.

Chen et al., "Transformer Tracking", CVPR 2021, section 3.2: ego-context augment (ECA, attention
within a branch) and cross-feature augment (CFA, attention across the two). All tokens here are
float32 [B, N, 256], row by row of their grid. Norms follow the sums; positions are added to
queries and keys and never to values. Tensor names are the authors'.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 256
HEADS = 8
HIDDEN = 2048
DROPOUT = 0.1


class Pair(NamedTuple):
    """The tokens of both branches."""

    template: Tensor
    search: Tensor


@dataclass(frozen=True)
class Grid:
    """What is known of a branch's tokens beside their values.

    `positions` [1 or B, N, 256] say where each lies; `padded` bool [B, N] marks those that show
    nothing of a picture, None where there are none.
    """

    positions: Tensor
    padded: Tensor | None = None


def sine_positions(height: int, width: int, padded: Tensor | None = None) -> Tensor:
    """Where each cell of a grid lies: 128 features of its row, then 128 of its column.

    Rows and columns count from 1 to 2 pi at the last, over the cells that are not `padded`
    [B, height, width]. Returns [B or 1, height * width, 256]. Carion et al., "End-to-End Object
    Detection with Transformers", 2020, appendix A.4.
    """
    shown = torch.ones(1, height, width) if padded is None else (~padded).float()
    steps = torch.arange(WIDTH // 2, dtype=torch.float32, device=shown.device)
    lengths = 10000 ** (2 * steps.div(2, rounding_mode="floor") / (WIDTH // 2))
    parts = []
    for axis in (1, 2):
        counted = shown.cumsum(axis)
        last = counted.select(axis, -1).unsqueeze(axis)
        angles = (counted / (last + 1e-6) * (2 * math.pi))[..., None] / lengths
        waves = torch.stack([angles[..., 0::2].sin(), angles[..., 1::2].cos()], dim=-1)
        parts.append(waves.flatten(-2))
    return torch.cat(parts, dim=-1).flatten(1, 2)


class Attention(nn.Module):
    """Multi-head attention with the tensors of `torch.nn.MultiheadAttention`."""

    def __init__(self) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * WIDTH, WIDTH))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * WIDTH))
        self.out_proj = nn.Linear(WIDTH, WIDTH)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, padded: Tensor | None) -> Tensor:
        """[B, N, 256] of queries, [B, M, 256] of keys and values -> [B, N, 256].

        Keys that are `padded`, bool [B, M], are not looked at.
        """
        parts = zip(
            (query, key, value),
            self.in_proj_weight.chunk(3),
            self.in_proj_bias.chunk(3),
            strict=True,
        )
        queries, keys, values = (
            F.linear(tokens, weight, bias).view(*tokens.shape[:2], HEADS, -1).transpose(1, 2)
            for tokens, weight, bias in parts
        )
        seen = None if padded is None else ~padded[:, None, None, :]
        dropped = DROPOUT if self.training else 0.0
        found = F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=seen, dropout_p=dropped
        )
        mixed: Tensor = self.out_proj(found.transpose(1, 2).flatten(-2))
        return mixed


class FusionLayer(nn.Module):
    """ECA within both branches, then CFA across them: each has weights of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn1, self.self_attn2 = Attention(), Attention()
        self.multihead_attn1, self.multihead_attn2 = Attention(), Attention()
        self.linear11, self.linear12 = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.linear21, self.linear22 = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.norm11, self.norm12, self.norm13 = (nn.LayerNorm(WIDTH) for _ in range(3))
        self.norm21, self.norm22, self.norm23 = (nn.LayerNorm(WIDTH) for _ in range(3))
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, tokens: Pair, template: Grid, search: Grid) -> Pair:
        """Both branches after one layer."""
        return self.cross(self.ego(tokens, template, search), template, search)

    def ego(self, tokens: Pair, template: Grid, search: Grid) -> Pair:
        """ECA: what the tokens of a branch say about each other."""
        one, two = tokens
        placed = one + template.positions
        found = self.self_attn1(placed, placed, one, template.padded)
        one = self.norm11(one + self.dropout(found))
        placed = two + search.positions
        found = self.self_attn2(placed, placed, two, search.padded)
        two = self.norm21(two + self.dropout(found))
        return Pair(one, two)

    def cross(self, tokens: Pair, template: Grid, search: Grid) -> Pair:
        """CFA: both branches ask the other's tokens as they were before."""
        one, two = tokens
        placed_one, placed_two = one + template.positions, two + search.positions
        found_one = self.multihead_attn1(placed_one, placed_two, two, search.padded)
        found_two = self.multihead_attn2(placed_two, placed_one, one, template.padded)
        one = self.norm12(one + self.dropout(found_one))
        two = self.norm22(two + self.dropout(found_two))
        more = self.linear12(self.dropout(F.relu_(self.linear11(one))))
        one = self.norm13(one + self.dropout(more))
        more = self.linear22(self.dropout(F.relu_(self.linear21(two))))
        two = self.norm23(two + self.dropout(more))
        return Pair(one, two)


class DecoderLayer(nn.Module):
    """One CFA from the search region to the template."""

    def __init__(self) -> None:
        super().__init__()
        self.multihead_attn = Attention()
        self.linear1, self.linear2 = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, tokens: Pair, template: Grid, search: Grid) -> Tensor:
        """The search tokens [B, N, 256] with what the template says about them."""
        one, two = tokens
        found = self.multihead_attn(
            two + search.positions, one + template.positions, one, template.padded
        )
        two = self.norm1(two + self.dropout(found))
        more = self.linear2(self.dropout(F.relu_(self.linear1(two))))
        decoded: Tensor = self.norm2(two + self.dropout(more))
        return decoded


class Encoder(nn.Module):
    """Fusion layers one after another."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(FusionLayer() for _ in range(layers))

    def forward(self, tokens: Pair, template: Grid, search: Grid) -> Pair:
        """Both branches after all layers."""
        for layer in self.layers:
            tokens = layer(tokens, template, search)
        return tokens


class Decoder(nn.Module):
    """The last CFA and the norm behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([DecoderLayer()])
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, tokens: Pair, template: Grid, search: Grid) -> Tensor:
        """The search tokens [B, N, 256], ready for the heads."""
        decoded: Tensor = self.norm(self.layers[0](tokens, template, search))
        return decoded


class FeatureFusion(nn.Module):
    """`layers` fusion layers and the decoder: four in the published N4, two in N2."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.encoder = Encoder(layers)
        self.decoder = Decoder()
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, tokens: Pair, template: Grid, search: Grid) -> Tensor:
        """Tokens of both branches -> the search tokens [B, N, 256] for the heads."""
        fused: Tensor = self.decoder(self.encoder(tokens, template, search), template, search)
        return fused
