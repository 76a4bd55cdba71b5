"""Small FocalClick networks whose random weights make masks that depend on picture and clicks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from models.focalclick_config import FocalClickConfig
from models.focalclick_network import FocalClickNetwork, Focus, SegFormer
from models.focalclick_options import FocalClickOptions
from models.focalclick_predictor import FocalClickSegmenter
from models.focalclick_refiner import Refiner
from models.zoom import Roi
from tests.models.ritm_networks import picture

TINY = FocalClickConfig(
    kind="hrnet", width=4, ocr_width=4, small=True, with_aux_output=True, use_leaky_relu=True
)
Edges = npt.NDArray[np.float64]
VERSION = "focalclick-tiny@random:000000000000"


def calibrated(config: FocalClickConfig = TINY, seed: int = 0) -> FocalClickNetwork:
    """A network in eval mode whose norms have seen pictures and whose logits are about N(0, 3)."""
    torch.manual_seed(seed)
    network = FocalClickNetwork(config)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    network.state_dict()["maps_transform.3.scale"].fill_(3.0)
    images, points, focus = inputs()
    with torch.no_grad():
        network.train()(images, points, None, focus)
        outputs = network.eval()(images, points, None, focus)
        extractor = network.feature_extractor
        segformer = isinstance(extractor, SegFormer)
        last = extractor.decode_head.linear_pred if segformer else extractor.cls_head
        _standardise(last, outputs.instances)
        _standardise(network.refiner.refine_pred, outputs.refined.logits)
    return network


def inputs(side: int = 64, batch: int = 4) -> tuple[torch.Tensor, torch.Tensor, Focus]:
    """Pictures, clicks and a view of each, for a network."""
    pictures = [picture(i, side, side) for i in range(batch)]
    images = torch.stack([torch.from_numpy(one).permute(2, 0, 1) / 255 for one in pictures])
    points = torch.tensor([[[40.0, 30, 0], [10, 10, 1]]]).expand(batch, -1, -1)
    regions = torch.tensor([[8.0, 4.5, 56.0, 60.0]]).expand(batch, -1)
    return images, points, Focus(images.flip(2), points, regions)


def _standardise(layer: nn.Module, logits: torch.Tensor) -> None:
    gain = 3 / logits.std()
    layer.weight *= gain
    layer.bias.copy_((layer.bias - logits.mean()) * gain)


def tiny_segmenter(
    config: FocalClickConfig = TINY, seed: int = 0, **options: Any
) -> FocalClickSegmenter:
    """A quick segmenter, whose networks see 64 x 64 pixels."""
    chosen = FocalClickOptions(**{"infer_size": 64, **options})
    return FocalClickSegmenter(calibrated(config, seed), VERSION, "cpu", chosen)


@contextmanager
def focus_crops() -> Iterator[list[Edges]]:
    """Where every refiner looks while this lasts, in its coarse network's input."""
    seen: list[Edges] = []

    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(module, Refiner):
            seen.extend(inputs[4].double().numpy().copy())

    handle = register_module_forward_pre_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()


def in_picture(crop: Edges, target: Roi, side: int) -> Roi:
    """A crop (left, top, right, bottom) of the input that shows `target`, in the picture."""
    left, top, right, bottom = crop / side
    height, width = target.size
    return Roi(
        round(target.top + height * top),
        round(target.top + height * bottom) - 1,
        round(target.left + width * left),
        round(target.left + width * right) - 1,
    )
