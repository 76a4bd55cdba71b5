"""SimpleClick's files: the container of RITM, with a configuration of its own.

The configuration holds an object of the training code, which the reader leaves out.
"""

from __future__ import annotations

import copy
from typing import Any

from models.backbones.vit import VitShape
from models.recognition.opened import CheckpointError, OpenedFile, Recognised
from models.simpleclick_config import CLASS, CONFIGS, SimpleClickConfig

COORDS = "patch_embed_coords.proj.weight"


def recognise(file: OpenedFile) -> Recognised | None:
    """SimpleClick by its class, or by its patches of clicks where there is no configuration."""
    if file.config is None:
        return _by_tensors(file)
    if file.class_name != CLASS:
        return None
    try:
        told = SimpleClickConfig.from_serialized(file.config, file.tensors)
    except ValueError as error:
        raise CheckpointError(f"{file.name}: {error}") from None
    for name, known in CONFIGS.items():
        if told.sizes == known.sizes:
            return Recognised(name, file.tensors, _with_side(file.config, told.shape))
    raise CheckpointError(
        f"{file.name} is a SimpleClick network of width {told.shape.dim} and depth"
        f" {told.shape.depth}; known are {', '.join(CONFIGS)}"
    )


def _by_tensors(file: OpenedFile) -> Recognised | None:
    shape = file.shape(COORDS)
    if shape is None or len(shape) != 4:
        return None
    dim, patch = shape[0], shape[2]
    for name, known in CONFIGS.items():
        if (dim, patch) == (known.shape.dim, known.shape.patch):
            return Recognised(name, file.tensors)
    raise CheckpointError(
        f"{file.name} is a SimpleClick network of width {dim} and patch {patch}; known are"
        f" {', '.join(CONFIGS)}"
    )


def _with_side(config: Any, shape: VitShape) -> dict[str, Any]:
    """The configuration with the side of the positions that the file really has."""
    own: dict[str, Any] = copy.deepcopy(dict(config))
    own["params"]["backbone_params"]["value"]["img_size"] = [shape.side, shape.side]
    return own
