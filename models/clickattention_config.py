"""What a ClickAttention network is built from, and how the authors' checkpoints spell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

CLASS = "SegFormerModelNoRefine"

Version = Literal["b0", "b3"]
Mode = Literal["released", "paper"]
Flags = tuple[bool, bool, bool, bool]

FIRST_WIDTHS: Mapping[int, Version] = {32: "b0", 64: "b3"}
"""Channels of the first stage."""

ONLY_KNOWN: Mapping[str, tuple[Any, ...]] = {
    "pipeline_version": ("s2",),
    "use_rgb_conv": (False,),
    "use_disks": (True,),
    "norm_radius": (5,),
    "with_prev_mask": (True,),
    "binary_prev_mask": (False,),
    "conv_extend": (False,),
    "clicks_groups": (None,),
    "norm_mean_std": ([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]],),
}
"""Parameters that have a single value in all published files and would change the network."""


@dataclass(frozen=True)
class ClickAttentionConfig:
    """`version` of the MiT, and which of its four stages have a weight module."""

    version: Version
    weighted: Flags = (False, True, True, True)

    @property
    def stages(self) -> tuple[int, ...]:
        """The stages with a weight module, counted from 1."""
        return tuple(stage for stage, flag in enumerate(self.weighted, start=1) if flag)

    @classmethod
    def from_serialized(cls, config: Mapping[str, Any]) -> ClickAttentionConfig:
        """The configuration inside an author's checkpoint: {"class": ..., "params": ...}.

        Parameters of training, and those of experiments that were never published, say nothing
        about the network and are passed over. Raises ValueError, with a sentence, for another
        class and for a value that is not known here.
        """
        if str(config.get("class", "")).rpartition(".")[2] != CLASS:
            raise ValueError(
                f"the checkpoint's class is {config.get('class')!r}; ClickAttention has {CLASS}"
            )
        parameters = config.get("params")
        if not isinstance(parameters, Mapping):
            raise ValueError("the checkpoint's configuration has no mapping 'params'")
        values = {name: _value(name, entry) for name, entry in parameters.items()}
        for name, known in ONLY_KNOWN.items():
            if name in values and _plain(values[name]) not in known:
                raise ValueError(
                    f"the checkpoint's {name} is {values[name]!r}, which is not known here"
                )
        version = values.get("model_version")
        if version not in FIRST_WIDTHS.values():
            raise ValueError(
                f"the checkpoint's model_version is {version!r};"
                f" known are {', '.join(FIRST_WIDTHS.values())}"
            )
        return cls(cast(Version, version), _flags(values.get("use_attn_weight")))

    def serialized(self) -> dict[str, Any]:
        """The same as a checkpoint spells it, as far as it says something about the network."""
        values = {"model_version": self.version, "use_attn_weight": list(self.weighted)}
        return {
            "class": CLASS,
            "params": {
                name: {"type": "builtin", "value": value, "specified": True}
                for name, value in values.items()
            },
        }


def _value(name: str, entry: Any) -> Any:
    if not isinstance(entry, Mapping) or "value" not in entry:
        raise ValueError(f"the checkpoint's parameter {name!r} is {entry!r}, without a 'value'")
    return entry["value"]


def _plain(value: Any) -> Any:
    """A value with its tuples as lists, as JSON would have them."""
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _flags(value: Any) -> Flags:
    flags = tuple(value) if isinstance(value, list | tuple) else ()
    if len(flags) != 4 or not all(isinstance(flag, bool) for flag in flags):
        raise ValueError(f"the checkpoint's use_attn_weight is {value!r}, not four booleans")
    return cast(Flags, flags)


CONFIGS: Mapping[str, ClickAttentionConfig] = {
    "clickattention-b0-s2": ClickAttentionConfig("b0"),
    "clickattention-b3-s2": ClickAttentionConfig("b3"),
}
