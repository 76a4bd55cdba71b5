"""FocalClick's files: a state dict and, beside it, the configuration that built the network."""

from __future__ import annotations

from models.focalclick_config import CLASSES, CONFIGS, FocalClickConfig
from models.recognition.opened import CheckpointError, OpenedFile, Recognised


def recognise(file: OpenedFile) -> Recognised | None:
    """FocalClick by its class, and by its refiner where RITM has a class of the same name.

    ClickAttention's networks, which weigh attention by clicks, are not of this system whatever
    their class is called.
    """
    if file.config is None or file.class_name not in CLASSES:
        return None
    shared = CLASSES[file.class_name] == "hrnet"
    if (shared and not file.has_any("refiner.")) or file.has_any(
        "feature_extractor.backbone.attn_weight"
    ):
        return None
    try:
        told = FocalClickConfig.from_serialized(file.config)
    except ValueError as error:
        raise CheckpointError(f"{file.name}: {error}") from None
    for name, known in CONFIGS.items():
        if told.design == known.design:
            return Recognised(name, file.tensors, file.config)
    raise CheckpointError(
        f"{file.name} is a FocalClick network of the design {told.design};"
        f" known are {', '.join(CONFIGS)}"
    )
