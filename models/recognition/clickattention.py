"""ClickAttention's files: a state dict and, in the published ones, the configuration beside it."""

from __future__ import annotations

from collections.abc import Mapping

from models.clickattention_config import CLASS, CONFIGS, FIRST_WIDTHS, ClickAttentionConfig, Flags
from models.recognition.opened import CheckpointError, OpenedFile, Recognised

BACKBONE = "feature_extractor.backbone."

FLAGS = "use_attn_weight"

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
    config = dict(file.config or {})
    parameters = config.get("params")
    if isinstance(parameters, Mapping) and FLAGS not in parameters:
        entry = {"type": "builtin", "value": list(_flags(file)), "specified": False}
        config["params"] = {**parameters, FLAGS: entry}
    try:
        told = ClickAttentionConfig.from_serialized(config)
    except ValueError as error:
        raise CheckpointError(f"{file.name}: {error}") from None
    return Recognised(_architecture(told), file.tensors, config)


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
    return ClickAttentionConfig(version, _flags(file))


def _flags(file: OpenedFile) -> Flags:
    """Which stages have a weight module."""
    first, second, third, fourth = (
        file.has_any(f"{BACKBONE}attn_weight{stage}.") for stage in (1, 2, 3, 4)
    )
    return first, second, third, fourth


def _architecture(config: ClickAttentionConfig) -> str:
    return next(name for name, known in CONFIGS.items() if known.version == config.version)
