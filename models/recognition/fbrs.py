"""f-BRS's files: a flat table of tensors, some of them converted from another framework."""

from __future__ import annotations

import torch
from torch import Tensor

from models.fbrs_config import CONFIGS
from models.recognition.opened import CheckpointError, OpenedFile, Recognised
from models.ritm_config import RitmConfig

INPUT = "rgb_conv.0.weight"
NORM = "rgb_conv.2.running_mean"
"""The input stage's norm comes after its activation: in no other system it has this place."""

WIDTH = "feature_extractor.stage2.0.branches.0.0.conv1.weight"
BOTTLENECK = "feature_extractor.backbone.layer1.0.conv3.weight"
DEEPEST = "feature_extractor.backbone.layer3.22.conv1.weight"

LEFTOVER = "aspp_dropout"
"""A number that training kept beside the tensors."""


def recognise(file: OpenedFile) -> Recognised | None:
    """f-BRS by its input stage; the backbone's tensors tell which of the networks it is.

    Counters of batches that a converted file lacks are added, as zeros.
    """
    if file.config is not None or INPUT not in file.tensors or NORM not in file.tensors:
        return None
    for name, known in CONFIGS.items():
        if _fits(file, known):
            return Recognised(name, _completed(file))
    raise CheckpointError(
        f"{file.name} has the input stage of f-BRS and a backbone that is not known;"
        f" known are {', '.join(CONFIGS)}"
    )


def _fits(file: OpenedFile, known: RitmConfig) -> bool:
    if known.kind == "hrnet":
        width = file.shape(WIDTH)
        return width is not None and width[0] == known.width
    if WIDTH in file.tensors:
        return False
    deep = 101 if DEEPEST in file.tensors else 50
    return known.backbone == f"resnet{deep if BOTTLENECK in file.tensors else 34}"


def _completed(file: OpenedFile) -> dict[str, Tensor]:
    tensors = {
        name: tensor
        for name, tensor in file.tensors.items()
        if name != LEFTOVER or tensor.numel() != 1
    }
    for name in file.tensors:
        norm, _, leaf = name.rpartition(".")
        if leaf == "running_mean":
            tensors.setdefault(f"{norm}.num_batches_tracked", torch.zeros((), dtype=torch.int64))
    return tensors
