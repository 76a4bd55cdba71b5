"""ClickAttention's files: a state dict and, in the published ones, the configuration beside it."""

from __future__ import annotations

from models.clickattention_config import CLASS, CONFIGS, FIRST_WIDTHS, ClickAttentionConfig, Flags
from models.recognition.opened import CheckpointError, OpenedFile, Recognised

BACKBONE = "feature_extractor.backbone."

DEPTHS = {"b0": 2, "b3": 18}
"""Blocks of the third stage."""


def recognise(file: OpenedFile) -> Recognised | None:
    """ClickAttention by its class, or by its weight modules where there is no configuration.

    FocalClick's networks have a refiner.
    """
    if file.config is not None:
        return _configured(file) if file.class_name == CLASS else None
    if not file.has_any(f"{BACKBONE}attn_weight") or file.has_any("refiner."):
        return None
    told = _derived(file)
    name = _architecture(told)
    return Recognised(name, file.tensors, {} if told == CONFIGS[name] else told.serialized())


def _configured(file: OpenedFile) -> Recognised:
    assert file.config is not None  # noqa: S101 - see recognise
    try:
        told = ClickAttentionConfig.from_serialized(file.config)
    except ValueError as error:
        raise CheckpointError(f"{file.name}: {error}") from None
    return Recognised(_architecture(told), file.tensors, file.config)


def _derived(file: OpenedFile) -> ClickAttentionConfig:
    """What names and shapes of the tensors tell about the configuration."""
    shape = file.shape(f"{BACKBONE}patch_embed1.proj.weight") or (0,)
    version = FIRST_WIDTHS.get(shape[0])
    depth = 0
    while file.has_any(f"{BACKBONE}block3.{depth}."):
        depth += 1
    if version is None or depth != DEPTHS[version]:
        raise CheckpointError(
            f"{file.name} is a ClickAttention network whose first stage has {shape[0]} channels"
            f" and whose third has {depth} blocks; known are B0 (32 and 2) and B3 (64 and 18)"
        )
    first, second, third, fourth = (
        file.has_any(f"{BACKBONE}attn_weight{stage}.") for stage in (1, 2, 3, 4)
    )
    flags: Flags = (first, second, third, fourth)
    return ClickAttentionConfig(version, flags)


def _architecture(config: ClickAttentionConfig) -> str:
    return next(name for name, known in CONFIGS.items() if known.version == config.version)
