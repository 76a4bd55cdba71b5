"""RITM's files: a state dict and, beside it, the configuration that built the network."""

from __future__ import annotations

from models.recognition.opened import CheckpointError, OpenedFile, Recognised
from models.ritm_config import CLASSES, CONFIGS, RitmConfig


def recognise(file: OpenedFile) -> Recognised | None:
    """RITM by its class, where the tensors agree with the configuration.

    FocalClick uses the same class names; its networks have a refiner.
    """
    if file.config is None or file.class_name not in CLASSES or file.has_any("refiner."):
        return None
    try:
        told = RitmConfig.from_serialized(file.config, file.tensors)
    except ValueError as error:
        raise CheckpointError(f"{file.name}: {error}") from None
    for name, known in CONFIGS.items():
        sizes = (known.kind, known.width, known.ocr_width, known.small)
        if sizes == (told.kind, told.width, told.ocr_width, told.small):
            return Recognised(name, file.tensors, file.config)
    raise CheckpointError(
        f"{file.name} is a RITM network of kind {told.kind} and width {told.width};"
        f" known are {', '.join(CONFIGS)}"
    )
