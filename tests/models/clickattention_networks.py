"""A B0 network whose random weights make masks that depend on picture and clicks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from models.clickattention_config import ClickAttentionConfig
from models.clickattention_network import ClickAttentionNetwork
from models.clickattention_options import ClickAttentionOptions
from models.clickattention_predictor import ClickAttentionSegmenter
from models.heads.segformer import SegFormerHead
from tests.models.ritm_networks import picture

VERSION = "clickattention-b0-s2@random:000000000000"


def inputs(side: int = 64, batch: int = 4) -> tuple[Tensor, Tensor]:
    """Pictures [B, 3, S, S], and two positive clicks and a negative one for each."""
    pictures = [picture(seed, side, side) for seed in range(batch)]
    images = torch.stack([torch.from_numpy(one).permute(2, 0, 1) / 255 for one in pictures])
    rows = [[40.0, 30, 0], [12, 50, 2], [10, 10, 1], [-1, -1, -1]]
    return images, torch.tensor([rows]).expand(batch, -1, -1)


@cache
def calibrated() -> ClickAttentionNetwork:
    """A network in eval mode whose norm has seen pictures and whose logits are about N(0, 3).

    Linear layers are larger than fresh ones, so that clicks and weights matter.
    """
    torch.manual_seed(0)
    network = ClickAttentionNetwork(ClickAttentionConfig("b0")).eval()
    head = network.feature_extractor.decode_head
    assert isinstance(head, SegFormerHead)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Linear):
                module.weight *= 2
        norm = head.linear_fuse.bn
        norm.momentum = None
        norm.train()
        network(*inputs())
        norm.eval()
        logits = network(*inputs()).instances
        gain = 3 / logits.std()
        last = head.linear_pred
        assert last.bias is not None
        last.weight *= gain
        last.bias.copy_((last.bias - logits.mean()) * gain)
    return network


def small_segmenter(**options: Any) -> ClickAttentionSegmenter:
    """A quick segmenter, whose network sees 64 x 64 pixels."""
    chosen = ClickAttentionOptions(**{"infer_size": 64, **options})
    return ClickAttentionSegmenter(calibrated(), VERSION, "cpu", chosen)


@contextmanager
def passes() -> Iterator[list[tuple[Tensor, Tensor, Tensor]]]:
    """What networks are shown while this lasts: pictures, points, previous maps of each pass."""
    seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def hook(module: nn.Module, given: tuple[Any, ...]) -> None:
        if isinstance(module, ClickAttentionNetwork):
            seen.append((given[0].clone(), given[1].clone(), given[2].clone()))

    handle = register_module_forward_pre_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()
