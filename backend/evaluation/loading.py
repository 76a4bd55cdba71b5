"""The segmenter under evaluation: as it is served, or as its paper ran it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import models
from backend import weights
from backend.engine.segmenters import ZooSegmenters, choose_device
from backend.errors import InvalidRequest
from backend.evaluation.datasets import DataSet
from backend.settings import Settings
from models import zoo
from models.brs_options import CLICKS_LIMIT
from models.segmenter import Segmenter

OPTIONS: Mapping[str, str] = {
    "MobileSAM": "models.mobilesam_options",
    "RITM": "models.ritm_options",
    "f-BRS": "models.fbrs_options",
    "FocalClick": "models.focalclick_options",
    "ClickAttention": "models.clickattention_options",
    "SimpleClick": "models.simpleclick_options",
}
"""The modules whose `FAITHFUL` are the options of a system's published evaluation."""

ON_DAVIS: Mapping[str, Mapping[str, int]] = {
    "RITM": {"zoom_target": 600},
    "f-BRS": {"zoom_target": 600},
    "SimpleClick": {"input_side": 672},
}
"""What is larger on DAVIS."""


def load(settings: Settings, model: str, dataset: DataSet, *, faithful: bool) -> Segmenter:
    """The segmenter of `model` for `dataset`, with its weights from the data directory.

    Raises `UnknownModelName`, `WeightsMissing` with what to type, and `InvalidSettings` for a
    device that is not there.
    """
    if not faithful:
        return ZooSegmenters(settings).load(model)
    found = weights.installed(settings, model)
    architecture = zoo.architecture(found.architecture)
    if settings.torch_threads is not None:
        import torch

        torch.set_num_threads(settings.torch_threads)
    options = faithful_options(architecture.system, dataset)
    if settings.brs_mode is not None and "brs_mode" in options:
        mode = settings.brs_mode
        options |= {"brs_mode": mode, "net_clicks_limit": CLICKS_LIMIT[mode]}
    return models.segmenter(
        architecture.name, weights=found.path, device=device(settings), **options
    )


def device(settings: Settings) -> str:
    """The torch device of the settings. Raises `InvalidSettings`."""
    return choose_device(settings.device)


def faithful_options(system: str, dataset: DataSet) -> dict[str, Any]:
    """The options under which a system's authors evaluated it on `dataset`.

    Raises InvalidRequest for a system that was never published.
    """
    if system not in OPTIONS:
        raise InvalidRequest(
            f"nothing was published of {system}, so it has no settings to be faithful to; leave"
            " out --faithful",
            field="faithful",
        )
    faithful = importlib.import_module(OPTIONS[system]).FAITHFUL
    if "davis" in dataset.name.lower():
        faithful = replace(faithful, **ON_DAVIS.get(system, {}))
    return {field.name: getattr(faithful, field.name) for field in fields(faithful)}
