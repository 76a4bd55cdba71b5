"""Batch norms folded into the convolutions before them, for inference."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


def folded(network: Network) -> Network:
    """A copy in eval mode whose norms are part of their convolutions; the original stays whole.

    For networks that run each `BatchNorm2d` right after the convolution registered before it, in
    the same module, or first in the `Sequential` that follows it there. The copy has tensor names
    of its own: it is not for saving or training.
    """
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        _fold_children(module)
    return network


def channels_last(network: Network) -> Network:
    """The same network with its kernels laid out for pictures whose channels lie innermost."""
    for tensor in network.parameters():
        if tensor.dim() == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return network


def _fold_children(module: nn.Module) -> None:
    conv: tuple[str, nn.Conv2d] | None = None
    for name, child in list(module.named_children()):
        place, key = (child, "0") if isinstance(child, nn.Sequential) else (module, name)
        norm = place._modules.get(key)
        if conv is not None and isinstance(norm, nn.BatchNorm2d):
            setattr(module, conv[0], fuse_conv_bn_eval(conv[1], norm))
            setattr(place, key, nn.Identity())
        conv = (name, child) if isinstance(child, nn.Conv2d) else None
