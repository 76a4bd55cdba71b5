"""The network: sizes, dilation, and what it looks at."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models import s2m
from models.fold_norm import folded
from models.s2m_network import INPUTS
from tests.models.s2m_networks import lively


@torch.inference_mode()
@pytest.mark.parametrize("size", [(64, 96), (50, 33)])
def test_any_size_gives_logits_of_that_size(size: tuple[int, int]) -> None:
    x = torch.rand((2, INPUTS, *size), generator=torch.Generator().manual_seed(0))
    low, high = lively().encode(x)
    assert low.shape[1:] == (256, -(-size[0] // 4), -(-size[1] // 4))
    assert high.shape[1:] == (2048, -(-size[0] // 16), -(-size[1] // 16))
    assert lively()(x).shape == (2, 1, *size)


def test_the_last_stage_is_dilated_from_its_second_block_on() -> None:
    with torch.device("meta"):
        backbone = s2m.network("s2m").backbone
    convs = [
        [block.conv2 for block in backbone.get_submodule(f"layer{index}").children()]
        for index in range(1, 5)
    ]
    assert [[conv.dilation[0] for conv in stage] for stage in convs] == [
        [1] * 3,
        [1] * 4,
        [1] * 6,
        [1, 2, 2],
    ]
    assert [[conv.stride[0] for conv in stage] for stage in convs] == [
        [1] * 3,
        [2] + [1] * 3,
        [2] + [1] * 5,
        [1] * 3,
    ]


@torch.inference_mode()
def test_every_channel_counts() -> None:
    x = torch.rand((1, INPUTS, 64, 64), generator=torch.Generator().manual_seed(0))
    answer = lively()(x)
    for channel in range(INPUTS):
        changed = x.clone()
        changed[:, channel] = 0
        assert (lively()(changed) - answer).abs().max() > 0.01, channel


@torch.inference_mode()
def test_norms_fold_away() -> None:
    fast = folded(lively())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    x = torch.rand((1, INPUTS, 64, 64), generator=torch.Generator().manual_seed(0))
    assert (fast(x).sigmoid() - lively()(x).sigmoid()).abs().max() < 1e-4


def test_there_is_one_architecture() -> None:
    with pytest.raises(KeyError):
        s2m.network("s2m-large")
