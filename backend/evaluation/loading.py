"""The segmenter under evaluation: as it is served, or as its paper ran it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import models
from backend import weights
from backend.engine.segmenters import ZooSegmenters, choose_device
from backend.evaluation.datasets import DataSet
from backend.settings import Settings
from models import mobilesam_options, ritm_options, zoo
from models.mobilesam_options import MobileSamOptions
from models.ritm_options import RitmOptions
from models.segmenter import Segmenter

FAITHFUL: Mapping[str, RitmOptions | MobileSamOptions] = {
    "RITM": ritm_options.FAITHFUL,
    "MobileSAM": mobilesam_options.FAITHFUL,
}

DAVIS_ZOOM = 600
"""RITM's zoom target on DAVIS; 400 elsewhere."""


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
    return models.segmenter(
        architecture.name, weights=found.path, device=device(settings), **options
    )


def device(settings: Settings) -> str:
    """The torch device of the settings. Raises `InvalidSettings`."""
    return choose_device(settings.device)


def faithful_options(system: str, dataset: DataSet) -> dict[str, Any]:
    """The options under which a system's authors evaluated it on `dataset`. Raises KeyError."""
    faithful = FAITHFUL[system]
    if isinstance(faithful, RitmOptions) and "davis" in dataset.name.lower():
        faithful = replace(faithful, zoom_target=DAVIS_ZOOM)
    return {field.name: getattr(faithful, field.name) for field in fields(faithful)}
