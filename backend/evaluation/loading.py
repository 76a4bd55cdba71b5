"""The segmenter under evaluation: as it is served, or as its paper ran it."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import models
from backend import weights
from backend.engine.segmenters import ZooSegmenters, choose_device
from backend.evaluation.datasets import DataSet
from backend.settings import Settings
from models import zoo
from models.segmenter import Segmenter

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
    """The options under which a system's authors evaluated it on `dataset`."""
    if system == "RITM":
        from models.ritm_options import FAITHFUL

        return asdict(replace(FAITHFUL, zoom_target=DAVIS_ZOOM) if _is_davis(dataset) else FAITHFUL)
    return {}


def _is_davis(dataset: DataSet) -> bool:
    return "davis" in dataset.name.lower()
