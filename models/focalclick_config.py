"""What a FocalClick network is built from, and how the authors' checkpoints spell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

CLASSES: Mapping[str, Literal["segformer", "hrnet"]] = {
    "SegFormerModel": "segformer",
    "HRNetModel": "hrnet",
}

WITHOUT_EFFECT = frozenset({"backbone_lr_mult", "cpu_dist_maps", "norm_radius"})
"""Parameters that say nothing about the network; the radius of clicks is fixed by the pipeline."""

ONLY_KNOWN: Mapping[str, tuple[Any, ...]] = {
    "norm_layer": ("torch.nn.modules.batchnorm.BatchNorm2d", None),
    "clicks_groups": (None,),
    "conv_extend": (False,),
    "feature_stride": (4,),
    "use_rgb_conv": (False,),
    "use_disks": (True,),
    "with_prev_mask": (True,),
}
"""Parameters that have a single value in all published files."""

NormMeanStd = tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True)
class FocalClickConfig:
    """The authors' parameters under the authors' names, those that change the network.

    `kind` is the class of the original. `model_version` belongs to SegFormer; `width`, `ocr_width`
    and `small` belong to HRNet. With `pipeline_version` "s1" the coarse network sees its input at
    half the size.
    """

    kind: Literal["segformer", "hrnet"]
    pipeline_version: str = "s2"
    model_version: str = "b0"
    width: int = 48
    ocr_width: int = 256
    small: bool = False
    with_aux_output: bool = False
    use_leaky_relu: bool = False
    binary_prev_mask: bool = False
    norm_mean_std: NormMeanStd = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

    def __post_init__(self) -> None:
        for name, allowed in (("pipeline_version", ("s1", "s2")), ("model_version", ("b0", "b3"))):
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}; FocalClick has {' and '.join(allowed)}")

    @property
    def design(self) -> str:
        """What tells the published networks from each other, in words."""
        if self.kind == "segformer":
            return f"SegFormer-{self.model_version} {self.pipeline_version}"
        small = "s" if self.small else ""
        return f"HRNet-{self.width}{small} OCR-{self.ocr_width} {self.pipeline_version}"

    @property
    def halved(self) -> bool:
        """Whether the coarse network sees its input at half the size."""
        return self.pipeline_version == "s1"

    @property
    def click_radius(self) -> int:
        """Radius of a click's disk before halving, in pixels of the input."""
        if not self.halved:
            return 5
        return 3 if self.kind == "segformer" else 2

    @classmethod
    def from_serialized(cls, config: Mapping[str, Any]) -> FocalClickConfig:
        """The configuration inside an author's checkpoint: {"class": ..., "params": ...}.

        Raises ValueError, with a sentence, for a class, parameter or value that is not known.
        """
        kind = CLASSES.get(str(config.get("class", "")).rpartition(".")[2])
        if kind is None:
            raise ValueError(
                f"the checkpoint's class is {config.get('class')!r}; "
                f"FocalClick has {' and '.join(CLASSES)}"
            )
        parameters = config.get("params")
        if not isinstance(parameters, Mapping):
            raise ValueError("the checkpoint's configuration has no mapping 'params'")
        known = cls(kind=kind)
        for name, entry in parameters.items():
            known = _with_parameter(known, name, entry)
        return known


def _with_parameter(config: FocalClickConfig, name: str, entry: Any) -> FocalClickConfig:
    if not isinstance(entry, Mapping) or "value" not in entry:
        raise ValueError(f"the checkpoint's parameter {name!r} is {entry!r}, without a 'value'")
    value = entry["value"]
    if name in WITHOUT_EFFECT:
        return config
    if name in ONLY_KNOWN:
        if value not in ONLY_KNOWN[name]:
            raise ValueError(f"the checkpoint's {name} is {value!r}, which is not known here")
        return config
    if name not in _TYPES:
        if entry.get("specified", True):
            raise ValueError(f"the checkpoint's parameter {name!r} = {value!r} is not known")
        return config
    if name == "norm_mean_std":
        return replace(config, norm_mean_std=_mean_std(value))
    if type(value) is not _TYPES[name]:
        raise ValueError(f"the checkpoint's parameter {name!r} is {value!r}, of the wrong type")
    changes: dict[str, Any] = {name: value}
    return replace(config, **changes)


def _mean_std(value: Any) -> NormMeanStd:
    try:
        mean, std = (tuple(float(number) for number in row) for row in value)
        if len(mean) != 3 or len(std) != 3:
            raise ValueError
    except (TypeError, ValueError):
        raise ValueError(f"the checkpoint's norm_mean_std is {value!r}, not two triples") from None
    return (mean, std)


def _types() -> dict[str, type]:
    spelled: dict[str, type] = {"int": int, "bool": bool, "str": str, "NormMeanStd": tuple}
    return {
        field.name: spelled[str(field.type)]
        for field in fields(FocalClickConfig)
        if field.name != "kind"
    }


_TYPES = _types()

_SEGFORMER = FocalClickConfig(kind="segformer", with_aux_output=True, use_leaky_relu=True)
_HRNET = replace(_SEGFORMER, kind="hrnet")
_HRNET18S = replace(_HRNET, width=18, ocr_width=48, small=True)

CONFIGS: Mapping[str, FocalClickConfig] = {
    "focalclick-segformerb0-s1": replace(_SEGFORMER, pipeline_version="s1"),
    "focalclick-segformerb0-s2": _SEGFORMER,
    "focalclick-segformerb3-s2": replace(_SEGFORMER, model_version="b3"),
    "focalclick-hrnet18s-s1": replace(_HRNET18S, pipeline_version="s1"),
    "focalclick-hrnet18s-s2": _HRNET18S,
    "focalclick-hrnet32-s2": replace(_HRNET, width=32, ocr_width=128),
}
