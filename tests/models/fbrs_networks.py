"""A small f-BRS network whose random weights make masks that depend on picture and clicks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from models.fbrs_config import INPUT
from models.fbrs_network import FbrsNetwork
from models.fbrs_options import FbrsOptions
from models.ritm_predictor import RitmSegmenter
from tests.models.ritm_networks import calibrated

TINY = replace(INPUT, width=4, ocr_width=4, small=True)
VERSION = "fbrs-tiny@random:000000000000"


def tiny_segmenter(**options: Any) -> RitmSegmenter:
    """A quick segmenter: zoomed-in crops of 64 pixels, few evaluations."""
    options = {"zoom_target": 64, "min_crop_size": 24, "brs_max_evaluations": 4, **options}
    return RitmSegmenter(calibrated(TINY, 1, FbrsNetwork), VERSION, "cpu", FbrsOptions(**options))
