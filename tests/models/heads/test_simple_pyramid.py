"""The pyramid of one map, and the head that makes logits of it."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from models.heads.simple_pyramid import PyramidHead, SimplePyramid, Upsampling

WIDTHS = (8, 16, 24, 32)


def test_levels_are_finer_and_coarser_by_twos() -> None:
    levels = SimplePyramid(12, WIDTHS)(torch.rand(2, 12, 6, 4))
    shapes = [tuple(level.shape) for level in levels]
    assert shapes == [(2, 8, 24, 16), (2, 16, 12, 8), (2, 24, 6, 4), (2, 32, 3, 2)]


@pytest.mark.parametrize("dim, inner", [(12, (16, 8, 16, 32)), (96, (48, 24, 48, 192))])
def test_inner_widths_are_the_larger_of_two(dim: int, inner: tuple[int, ...]) -> None:
    pyramid = SimplePyramid(dim, WIDTHS)
    convolutions = [
        pyramid.down_4[0],
        pyramid.down_4[3],
        pyramid.down_8[0],
        pyramid.down_32[0],
    ]
    assert tuple(conv.out_channels for conv in convolutions) == inner


def test_norms_are_over_the_whole_map() -> None:
    norms = [m for m in SimplePyramid(12, WIDTHS).modules() if isinstance(m, nn.GroupNorm)]
    assert len(norms) == 8
    assert {norm.num_groups for norm in norms} == {1}


def levels(finest: int = 16) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = [finest >> step for step in range(4)]
    return [
        torch.rand(2, width, size, size, generator=generator)
        for width, size in zip(WIDTHS, sizes, strict=True)
    ]


@pytest.mark.parametrize(
    "upsample, channels, side", [("x1", 32, 16), ("x2", 16, 32), ("x4", 8, 64)]
)
def test_the_head_gives_logits_of_the_finest_level_or_finer(
    upsample: Upsampling, channels: int, side: int
) -> None:
    head = PyramidHead(WIDTHS, channels, upsample).eval()
    assert head(levels()).shape == (2, 1, side, side)
    assert head.fusion_conv.conv.out_channels == 32
    assert (head.up_conv1[0].in_channels, head.up_conv2[0].out_channels) == (32, 8)


def test_levels_are_resized_between_their_corners_and_joined_fine_to_coarse() -> None:
    head = PyramidHead(WIDTHS, 32).eval()
    given = levels()
    maps = [
        functional.interpolate(
            functional.relu(conv.conv(level)), (16, 16), mode="bilinear", align_corners=False
        )
        for conv, level in zip(head.convs, given, strict=True)
    ]
    fused = functional.relu(head.fusion_conv.conv(torch.cat(maps, dim=1)))
    torch.testing.assert_close(head(given), head.conv_seg(fused))


def test_only_training_drops() -> None:
    head = PyramidHead(WIDTHS, 32)
    given = levels()
    assert torch.equal(head.eval()(given), head(given))
    torch.manual_seed(0)
    assert not torch.equal(head.train()(given), head(given))
