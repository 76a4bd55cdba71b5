"""Our own network: a small transformer that sees the prompt from its first layers on.

A crop of the picture, the clicks, strokes and box, and the previous mask go through TinyViT (Wu
et al., arXiv 2207.10666) together, as RITM (arXiv 2102.06583) taught for early fusion. Attention
over the whole crop relates what lies far apart to the clicks, and a light decoder takes features
of strides 16, 8, 4 and 2 back to full detail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.backbones.tiny_vit import PatchEmbed, Stage, TinyVitShape, stages

MAPS = 4
"""Channels of the prompt: positive, negative, box, previous probabilities."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

STRIDE = 16
"""The sides of a crop are multiples of this."""


@dataclass(frozen=True, slots=True)
class MaskloopShape:
    """The sizes of the network. `decoder` are the widths at strides 16, 8, 4 and 2.

    `prompt` are the prompt's own widths at strides 2 and 4, `context` the number of blocks that
    attend to the whole crop, `heads` their heads.
    """

    encoder: TinyVitShape = field(default_factory=TinyVitShape)
    decoder: tuple[int, int, int, int] = (192, 96, 64, 32)
    prompt: tuple[int, int] = (16, 64)
    context: int = 2
    heads: int = 6


class Answer(NamedTuple):
    """Logits [B, 1, H, W]; `aux` those of the auxiliary head at a quarter of the size.

    `quality` [B] is the network's own estimate of the mask's IoU.
    """

    logits: Tensor
    aux: Tensor
    quality: Tensor


class ConvNorm(nn.Sequential):
    """A convolution, batch norm, GELU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            nn.GELU(),
        )


class Separable(nn.Sequential):
    """A depth-wise 5x5 and a point-wise convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            ConvNorm(channels, channels, 5, groups=channels), ConvNorm(channels, channels, 1)
        )


class PromptPyramid(nn.Module):
    """The prompt's maps as features of strides 2, 4 and 16.

    What enters the encoder begins at zero, so that a pre-trained encoder starts undisturbed.
    """

    def __init__(self, widths: tuple[int, int], dims: tuple[int, ...]) -> None:
        super().__init__()
        self.fine = ConvNorm(MAPS, widths[0], 3, 2)
        self.coarse = ConvNorm(widths[0], widths[1], 3, 2)
        self.into_stem = zero_conv(widths[1], dims[0])
        self.into_stage = zero_conv(widths[1], dims[2])

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, 4, H, W] -> features of stride 2, and what is added at strides 4 and 16."""
        fine = self.fine(maps)
        coarse = self.coarse(fine)
        pooled = functional.avg_pool2d(coarse, STRIDE // 4)
        return fine, self.into_stem(coarse), self.into_stage(pooled)


def zero_conv(inputs: int, outputs: int) -> nn.Conv2d:
    """A point-wise convolution that gives zeros until it is trained."""
    conv = nn.Conv2d(inputs, outputs, 1)
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(cast("Tensor", conv.bias))
    return conv


class ContextBlock(nn.Module):
    """Attention among all cells of the map, places told by a depth-wise convolution."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.place = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.mlp = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as `x`, [B, C, H, W]."""
        x = x + self.place(x)
        batch, dim = x.shape[:2]
        tokens = x.flatten(2).transpose(1, 2)
        qkv = self.qkv(self.norm(tokens)).view(batch, -1, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        tokens = tokens + self.proj(mixed.transpose(1, 2).reshape(batch, -1, dim))
        tokens = tokens + self.mlp(tokens)
        return cast("Tensor", tokens.transpose(1, 2).reshape(x.shape))


class Decoder(nn.Module):
    """Features of strides 16, 8, 4 and 2, coarse to fine, to logits."""

    def __init__(self, shape: MaskloopShape) -> None:
        super().__init__()
        dims, (w16, w8, w4, w2) = shape.encoder.dims, shape.decoder
        self.from16 = ConvNorm(dims[3], w16, 1)
        self.context = nn.Sequential(
            *(ContextBlock(w16, shape.heads) for _ in range(shape.context))
        )
        self.quality = nn.Linear(w16, 1)
        self.down8, self.from8 = nn.Conv2d(w16, w8, 1), nn.Conv2d(dims[1], w8, 1)
        self.mix8 = Separable(w8)
        self.down4, self.from4 = nn.Conv2d(w8, w4, 1), nn.Conv2d(dims[0], w4, 1)
        self.mix4 = Separable(w4)
        self.aux = nn.Conv2d(w4, 1, 1)
        self.down2 = nn.Conv2d(w4, w2, 1)
        self.from2 = nn.Conv2d(dims[0] // 2 + shape.prompt[0], w2, 1)
        self.mix2 = Separable(w2)
        self.last = nn.Conv2d(w2, 1, 3, padding=1)

    def forward(self, x16: Tensor, x8: Tensor, x4: Tensor, x2: Tensor) -> Answer:
        """Maps [B, C, H/16, W/16] ... [B, C, H/2, W/2] to logits [B, 1, H, W]."""
        x = self.context(self.from16(x16))
        quality = self.quality(x.mean(dim=(2, 3)))[:, 0].sigmoid()
        x = self.mix8(larger(self.down8(x)) + self.from8(x8))
        x = self.mix4(larger(self.down4(x)) + self.from4(x4))
        aux = self.aux(x)
        x = self.mix2(larger(self.down2(x)) + self.from2(x2))
        return Answer(larger(self.last(x)), aux, quality)


def larger(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, C, 2H, 2W], bilinear."""
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class MaskloopNetwork(nn.Module):
    """A crop and its prompt to logits of the crop's size."""

    mean: Tensor
    std: Tensor

    def __init__(self, shape: MaskloopShape | None = None) -> None:
        super().__init__()
        shape = shape or MaskloopShape()
        dims = shape.encoder.dims
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self.patch_embed = PatchEmbed(dims[0])
        self.layers = stages(shape.encoder)
        self.prompt = PromptPyramid(shape.prompt, dims)
        self.decoder = Decoder(shape)

    def forward(self, image: Tensor, maps: Tensor) -> Answer:
        """`image` float32 [B, 3, H, W] is RGB in [0, 1], `maps` [B, 4, H, W] the prompt.

        H and W are multiples of 16. The maps hold positive and negative places (1 within a disk
        or stroke), the box (1 inside) and the previous probabilities.
        """
        fine, into_stem, into_stage = self.prompt(maps)
        stem = self.patch_embed.seq[:2]((image - self.mean) / self.std)
        x = self.patch_embed.seq[2](stem) + into_stem
        first, second, third, fourth = (cast("Stage", layer) for layer in self.layers)
        x4 = first.blocks(x)
        x8 = second.blocks(_down(first, x4))
        x16 = third.blocks(_down(second, x8) + into_stage)
        x16 = fourth.blocks(_down(third, x16))
        answer: Answer = self.decoder(x16, x8, x4, torch.cat([stem, fine], dim=1))
        return answer


def _down(stage: Stage, x: Tensor) -> Tensor:
    assert stage.downsample is not None  # noqa: S101 - only the last stage has none
    return cast("Tensor", stage.downsample(x))


ENCODER = "image_encoder."
"""What the encoder's tensors are called in MobileSAM's file, before the names used here."""


def start_from_mobilesam(network: MaskloopNetwork, tensors: Mapping[str, Tensor]) -> int:
    """Copy the encoder of a MobileSAM state dict into `network`; how many tensors were copied.

    Raises ValueError where the state dict lacks one of them.
    """
    own = network.state_dict()
    wanted = [name for name in own if name.startswith(("patch_embed.", "layers."))]
    missing = [name for name in wanted if ENCODER + name not in tensors]
    if missing:
        raise ValueError(f"these weights are not MobileSAM's: {ENCODER}{missing[0]} is not there")
    network.load_state_dict({name: tensors[ENCODER + name] for name in wanted}, strict=False)
    return len(wanted)
