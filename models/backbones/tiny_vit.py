"""TinyViT, the small hierarchical vision transformer that encodes pictures for MobileSAM.

Wu et al., TinyViT: Fast Pretraining Distillation for Small Vision Transformers (ECCV 2022,
arXiv 2207.10666), in the form that MobileSAM (arXiv 2306.14289) trained: the last downsampling
keeps the resolution, and a neck of two convolutions follows the last stage.

Tensors are float32 maps (batch, channels, height, width), best in channels-last memory. No weight
depends on the picture's size; tensor names are the authors'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.map_norm import MapNorm

HEAD_WIDTH = 32


@dataclass(frozen=True, slots=True)
class TinyVitShape:
    """The sizes of a TinyViT, stage by stage; the first stage is convolutional.

    `windows` are the sides of the attention windows, `strides` those of the downsampling after
    each stage but the last, `classes` the width of the classifier that only exists in the file.
    """

    dims: tuple[int, ...] = (64, 128, 160, 320)
    depths: tuple[int, ...] = (2, 2, 6, 2)
    windows: tuple[int, ...] = (7, 7, 14, 7)
    strides: tuple[int, ...] = (2, 2, 1)
    neck: int = 256
    classes: int = 1000


class ConvBn(nn.Module):
    """A convolution without bias, then batch norm."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.c = nn.Conv2d(
            inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H/stride, W/stride)."""
        return cast("Tensor", self.bn(self.c(x)))


class InvertedBottleneck(nn.Module):
    """A MobileNet block: widen, depth-wise 3x3, narrow; GELU after the residual sum."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = ConvBn(dim, 4 * dim)
        self.conv2 = ConvBn(4 * dim, 4 * dim, 3, groups=4 * dim)
        self.conv3 = ConvBn(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        y = functional.gelu(self.conv1(x))
        y = functional.gelu(self.conv2(y))
        return functional.gelu(x + self.conv3(y))


class Downsample(nn.Module):
    """Change of channels and, with stride 2, of resolution between two stages."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvBn(inputs, outputs)
        self.conv2 = ConvBn(outputs, outputs, 3, stride, groups=outputs)
        self.conv3 = ConvBn(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H/stride, W/stride)."""
        y = functional.gelu(self.conv1(x))
        y = functional.gelu(self.conv2(y))
        return cast("Tensor", self.conv3(y))


def bias_index(window: int) -> Tensor:
    """int64 (window², window²): the entry of the bias table that a pair of tokens uses.

    It is |dy| * window + |dx|, so the table is shared by mirrored offsets.
    """
    position = torch.arange(window)
    row, column = position.repeat_interleave(window), position.repeat(window)
    dy = (row[:, None] - row[None, :]).abs()
    dx = (column[:, None] - column[None, :]).abs()
    return dy * window + dx


class WindowAttention(nn.Module):
    """Self-attention inside square windows, with a learned bias per head and offset."""

    bias_index: Tensor

    def __init__(self, dim: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.heads = dim // HEAD_WIDTH
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(self.heads, window * window))
        self.register_buffer("bias_index", bias_index(window), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> the same shape; windows that reach over the edge see zeros there.

        The zeros go through the norm and take part in the softmax: the network was trained so.
        """
        batch, height, width, dim = x.shape
        side = self.window
        rows, columns = -(-height // side), -(-width // side)
        padding = (0, 0, 0, columns * side - width, 0, rows * side - height)
        if any(padding):
            x = functional.pad(x, padding)
        x = x.view(batch, rows, side, columns, side, dim).transpose(2, 3)
        x = self._attend(x.reshape(-1, side * side, dim))
        x = x.view(batch, rows, columns, side, side, dim).transpose(2, 3)
        return x.reshape(batch, rows * side, columns * side, dim)[:, :height, :width]

    def _attend(self, tokens: Tensor) -> Tensor:
        """Attention among the tokens (N, window², C) of each window."""
        count, length, dim = tokens.shape
        # The fused projection holds q, k and v of head 0, then those of head 1, and so on.
        qkv = self.qkv(self.norm(tokens)).view(count, length, self.heads, 3 * HEAD_WIDTH)
        q, k, v = qkv.transpose(1, 2).split(HEAD_WIDTH, dim=-1)
        bias = self.attention_biases[:, self.bias_index]
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        return cast("Tensor", self.proj(mixed.transpose(1, 2).reshape(count, length, dim)))


class Mlp(nn.Module):
    """Layer norm and two linear layers with GELU between, over the last axis."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        return cast("Tensor", self.fc2(functional.gelu(self.fc1(self.norm(x)))))


class TinyVitBlock(nn.Module):
    """Window attention, a depth-wise convolution in its place, then an MLP."""

    def __init__(self, dim: int, window: int) -> None:
        super().__init__()
        self.attn = WindowAttention(dim, window)
        self.mlp = Mlp(dim)
        self.local_conv = ConvBn(dim, dim, 3, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`."""
        x = x.permute(0, 2, 3, 1)
        x = x + self.attn(x)
        x = self.local_conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        x = x + self.mlp(x)
        return x.permute(0, 3, 1, 2)


class Stage(nn.Module):
    """Blocks of one resolution, then the way to the next one if there is one."""

    def __init__(self, blocks: list[nn.Module], downsample: Downsample | None) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C of the next stage, H/stride, W/stride)."""
        x = self.blocks(x)
        return x if self.downsample is None else cast("Tensor", self.downsample(x))


class PatchEmbed(nn.Module):
    """Two strided convolutions: a quarter of the resolution."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(ConvBn(3, dim // 2, 3, 2), nn.GELU(), ConvBn(dim // 2, dim, 3, 2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, dim, H/4, W/4)."""
        return cast("Tensor", self.seq(x))


def stages(shape: TinyVitShape) -> nn.ModuleList:
    """The stages that follow the patch embedding, each a `Stage`."""
    layers = nn.ModuleList()
    for index, (dim, depth, window) in enumerate(
        zip(shape.dims, shape.depths, shape.windows, strict=True)
    ):
        blocks: list[nn.Module] = [
            TinyVitBlock(dim, window) if index else InvertedBottleneck(dim) for _ in range(depth)
        ]
        last = index == len(shape.dims) - 1
        down = None if last else Downsample(dim, shape.dims[index + 1], shape.strides[index])
        layers.append(Stage(blocks, down))
    return layers


class TinyVit(nn.Module):
    """The image encoder of MobileSAM: (B, 3, S, S) -> (B, 256, S/16, S/16), S a multiple of 16.

    `norm_head` and `head` are the classifier of the pre-training: they are in the authors' file
    and take no part here.
    """

    def __init__(self, shape: TinyVitShape | None = None) -> None:
        super().__init__()
        shape = shape or TinyVitShape()
        dims = shape.dims
        self.patch_embed = PatchEmbed(dims[0])
        self.layers = stages(shape)
        self.norm_head = nn.LayerNorm(dims[-1])
        self.head = nn.Linear(dims[-1], shape.classes)
        self.neck = nn.Sequential(
            nn.Conv2d(dims[-1], shape.neck, 1, bias=False),
            MapNorm(shape.neck),
            nn.Conv2d(shape.neck, shape.neck, 3, padding=1, bias=False),
            MapNorm(shape.neck),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The embedding of normalised pictures (B, 3, S, S)."""
        x = self.patch_embed(x)
        for layer in self.layers:
            x = layer(x)
        return cast("Tensor", self.neck(x))
