"""Small RITM networks whose random weights make masks that depend on picture and clicks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from models.ritm_config import RitmConfig
from models.ritm_network import RitmNetwork
from models.ritm_options import RitmOptions
from models.ritm_predictor import RitmSegmenter

TINY = RitmConfig(
    width=4,
    ocr_width=4,
    small=True,
    use_rgb_conv=False,
    use_leaky_relu=True,
    use_disks=True,
    norm_radius=5,
    with_prev_mask=True,
    with_aux_output=True,
)
VERSION = "ritm-tiny@random:000000000000"

Picture = npt.NDArray[np.uint8]


def picture(seed: int = 0, height: int = 96, width: int = 128) -> Picture:
    """Smooth coloured blobs."""
    generator = np.random.default_rng(seed)
    coarse = torch.from_numpy(generator.random((1, 3, 6, 8), np.float32))
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    return (smooth[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)


def calibrated(
    config: RitmConfig = TINY, seed: int = 0, kind: type[RitmNetwork] = RitmNetwork
) -> RitmNetwork:
    """A network in eval mode whose norms have seen pictures and whose logits are about N(0, 3)."""
    torch.manual_seed(seed)
    network = kind(config)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    if config.use_rgb_conv is False and not config.conv_extend:
        network.state_dict()["maps_transform.3.scale"].fill_(3.0)
    images = torch.stack([torch.from_numpy(picture(i)).permute(2, 0, 1) / 255 for i in range(4)])
    points = torch.tensor([[[40.0, 60, 0], [10, 10, 1]]]).expand(4, -1, -1)
    with torch.no_grad():
        network.train()(images, points)
        logits = network.eval()(images, points).instances
        last = network.feature_extractor.cls_head
        if isinstance(last, nn.Sequential):
            last = last[-1]
        gain = 3 / logits.std()
        last.weight *= gain
        last.bias.copy_((last.bias - logits.mean()) * gain)
    return network


def tiny_segmenter(config: RitmConfig = TINY, seed: int = 0, **options: Any) -> RitmSegmenter:
    """A quick segmenter: zoomed-in crops of 64 pixels."""
    options = {"zoom_target": 64, "min_crop_size": 24, **options}
    return RitmSegmenter(calibrated(config, seed), VERSION, "cpu", RitmOptions(**options))
