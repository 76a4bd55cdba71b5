"""The five networks of f-BRS: backbones, widths and input stage as published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from models.ritm_config import RitmConfig

INPUT = RitmConfig(use_rgb_conv=True, use_leaky_relu=True, norm_radius=260)
"""Picture and distance maps made a picture again: the input stage of all five."""

_DEEPLAB = replace(INPUT, kind="deeplab", deeplab_ch=128, aspp_dropout=0.2)
_HRNET = replace(INPUT, kind="hrnet", with_aux_output=True)

CONFIGS: Mapping[str, RitmConfig] = {
    "fbrs-resnet34": replace(_DEEPLAB, backbone="resnet34"),
    "fbrs-resnet50": replace(_DEEPLAB, backbone="resnet50"),
    "fbrs-resnet101": replace(_DEEPLAB, backbone="resnet101", deeplab_ch=256, aspp_dropout=0.5),
    "fbrs-hrnet18": replace(_HRNET, width=18, ocr_width=64),
    "fbrs-hrnet32": replace(_HRNET, width=32, ocr_width=128),
}
"""In the words of RITM, whose networks descend from these."""
