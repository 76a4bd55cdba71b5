"""Small SimpleClick networks whose random weights make masks that depend on picture and clicks."""

from __future__ import annotations

from typing import Any

import torch

from models.backbones.vit import VitShape
from models.simpleclick_config import SimpleClickConfig
from models.simpleclick_network import SimpleClickNetwork
from models.simpleclick_options import SimpleClickOptions
from models.simpleclick_predictor import SimpleClickSegmenter
from tests.models.ritm_networks import picture

TINY = SimpleClickConfig(
    VitShape(patch=16, dim=32, depth=4, heads=2, side=448), (8, 16, 24, 32), channels=8
)
VERSION = "simpleclick-tiny@random:000000000000"


def calibrated(config: SimpleClickConfig = TINY, seed: int = 0) -> SimpleClickNetwork:
    """A network in eval mode whose logits are about N(0, 3) and differ with the clicks."""
    torch.manual_seed(seed)
    network = SimpleClickNetwork(config).eval()
    images = torch.stack(
        [torch.from_numpy(picture(i, 224, 224)).permute(2, 0, 1) / 255 for i in range(2)]
    )
    points = torch.tensor([[[40.0, 60, 0], [10, 10, 1]]]).expand(2, -1, -1)
    with torch.no_grad():
        network.patch_embed_coords.proj.weight *= 5
        logits = network(images, points).instances
        last, gain = network.head.conv_seg, 3 / logits.std()
        last.weight *= gain
        last.bias.copy_((last.bias - logits.mean()) * gain)
    return network


def tiny_segmenter(seed: int = 0, **options: Any) -> SimpleClickSegmenter:
    """A quick segmenter: regions of at least 24 pixels, stretched to 224."""
    chosen = SimpleClickOptions(**{"input_side": 224, "min_crop_size": 24, **options})
    return SimpleClickSegmenter(calibrated(seed=seed), VERSION, "cpu", chosen)
