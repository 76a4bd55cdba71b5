"""Segment Anything's prompt encoder: clicks, box and mask as tokens and a dense map.

Kirillov et al., Segment Anything (arXiv 2304.02643), appendix A, "Prompt encoder". Positions are
pixels of the square input frame. Tensor names are the authors'.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from models.map_norm import MapNorm

STRIDE = 16
"""Input pixels to one cell of the embedding."""

MASK_STRIDE = 4
"""Input pixels to one pixel of a mask prompt and of the decoder's masks."""


class PositionCode(nn.Module):
    """Random Fourier features of positions in the unit square (Tancik et al., 2006.10739)."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, features))

    def forward(self, position: Tensor) -> Tensor:
        """(..., 2) float32 (x, y) in [0, 1], not clamped -> (..., 2 * features)."""
        turns = (2 * position - 1) @ self.positional_encoding_gaussian_matrix
        angle = 2 * math.pi * turns
        return torch.cat([angle.sin(), angle.cos()], dim=-1)


class PromptEncoder(nn.Module):
    """Prompts of `dim` channels in a frame of `input_side` pixels."""

    def __init__(self, dim: int = 256, input_side: int = 1024, mask_channels: int = 16) -> None:
        super().__init__()
        self.input_side = input_side
        self.grid = input_side // STRIDE
        self.pe_layer = PositionCode(dim // 2)
        # Rows: negative click, positive click, first and second corner of a box.
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, dim)
        self.no_mask_embed = nn.Embedding(1, dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_channels // 4, 2, 2),
            MapNorm(mask_channels // 4),
            nn.GELU(),
            nn.Conv2d(mask_channels // 4, mask_channels, 2, 2),
            MapNorm(mask_channels),
            nn.GELU(),
            nn.Conv2d(mask_channels, dim, 1),
        )

    def grid_code(self) -> Tensor:
        """(1, dim, grid, grid): the position code of the embedding's cells."""
        table = self.pe_layer.positional_encoding_gaussian_matrix
        centre = (torch.arange(self.grid, device=table.device, dtype=table.dtype) + 0.5) / self.grid
        y, x = torch.meshgrid(centre, centre, indexing="ij")
        code = self.pe_layer(torch.stack([x, y], dim=-1))
        return cast("Tensor", code).permute(2, 0, 1)[None]

    def sparse(self, points: Tensor, labels: Tensor, boxes: Tensor | None = None) -> Tensor:
        """Tokens (B, n, dim): the points, then two corners of a box or one padding point.

        `points` is float32 (B, N, 2) of (x, y) in the frame, `labels` (B, N) with 1 positive,
        0 negative, -1 padding; `boxes` (B, 4) of two corners, in any order. Without a box, and
        with at least one point, a padding point follows the points: the network knows it so.
        """
        if boxes is None:
            if not points.shape[1]:
                return self._table(self.not_a_point_embed).new_zeros(points.shape[0], 0, self._dim)
            points = torch.cat([points, points.new_zeros(points.shape[0], 1, 2)], dim=1)
            labels = torch.cat([labels, labels.new_full((labels.shape[0], 1), -1)], dim=1)
            return self._points(points, labels)
        corners = self._code(boxes.view(-1, 2, 2))
        kinds = torch.cat([self._table(self.point_embeddings[i]) for i in (2, 3)])
        return torch.cat([self._points(points, labels), corners + kinds], dim=1)

    def dense(self, masks: Tensor | None, batch: int) -> Tensor:
        """(B, dim, grid, grid) of mask prompts (B, 1, 4*grid, 4*grid) in raw logits.

        Without masks one constant vector stands everywhere: (batch, dim, grid, grid), expanded.
        """
        if masks is None:
            constant = self._table(self.no_mask_embed).view(1, -1, 1, 1)
            return constant.expand(batch, -1, self.grid, self.grid)
        return cast("Tensor", self.mask_downscaling(masks))

    @property
    def _dim(self) -> int:
        return self._table(self.no_mask_embed).shape[1]

    @staticmethod
    def _table(embedding: nn.Module) -> Tensor:
        return cast("Tensor", embedding.weight)

    def _code(self, position: Tensor) -> Tensor:
        """The code of frame positions: a whole number means the middle of its pixel."""
        return cast("Tensor", self.pe_layer((position + 0.5) / self.input_side))

    def _points(self, points: Tensor, labels: Tensor) -> Tensor:
        labels = labels[..., None]
        code = self._code(points)
        code = torch.where(labels == -1, self._table(self.not_a_point_embed), code)
        for label in (0, 1):
            kind = self._table(self.point_embeddings[label])
            code = torch.where(labels == label, code + kind, code)
        return code
