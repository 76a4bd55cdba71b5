"""What a RITM network is built from, and how the authors' checkpoints spell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Protocol

FULL_HRNET_TENSORS = 1800
"""An HRNet with fewer tensors than this is the small one (924 against 1890)."""

CLASSES: dict[str, Literal["hrnet", "deeplab"]] = {
    "HRNetModel": "hrnet",
    "DeeplabModel": "deeplab",
}

BACKBONES = ("resnet34", "resnet50", "resnet101")

WITHOUT_EFFECT = frozenset({"backbone_lr_mult", "backbone_norm_layer", "cpu_dist_maps"})
"""Parameters of training, and one of the demo, that say nothing about the network."""

ONLY_KNOWN: Mapping[str, tuple[str | None, ...]] = {
    "norm_layer": ("torch.nn.modules.batchnorm.BatchNorm2d", None),
    "clicks_groups": (None,),
}
"""Parameters that have a single value in all published files."""

NormMeanStd = tuple[tuple[float, float, float], tuple[float, float, float]]


class HasShape(Protocol):
    """A tensor, as far as a configuration is concerned."""

    @property
    def shape(self) -> Any:
        """Its dimensions."""


@dataclass(frozen=True)
class RitmConfig:
    """The authors' parameters under the authors' names, those that change the network.

    `kind` is the class of the original; `width`, `ocr_width` and `small` belong to HRNet,
    `backbone`, `deeplab_ch` and `aspp_dropout` to DeepLab.
    """

    kind: Literal["hrnet", "deeplab"] = "hrnet"
    width: int = 48
    ocr_width: int = 256
    small: bool = False
    backbone: str = "resnet50"
    deeplab_ch: int = 256
    aspp_dropout: float = 0.5
    use_rgb_conv: bool = True
    conv_extend: bool = False
    with_aux_output: bool = False
    norm_radius: float = 260
    use_disks: bool = False
    with_prev_mask: bool = False
    binary_prev_mask: bool = False
    use_leaky_relu: bool = False
    norm_mean_std: NormMeanStd = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise ValueError(f"the backbone is {self.backbone!r}; known are {', '.join(BACKBONES)}")

    @property
    def maps(self) -> int:
        """How many channels the clicks and the previous mask make."""
        return 3 if self.with_prev_mask else 2

    @classmethod
    def from_serialized(
        cls, config: Mapping[str, Any], tensors: Mapping[str, HasShape] | None = None
    ) -> RitmConfig:
        """The configuration inside an author's checkpoint: {"class": ..., "params": ...}.

        With `tensors`, the checkpoint's state dict, what can be told from shapes is compared.
        Raises ValueError, with a sentence, for a class, parameter or value that is not known,
        and where configuration and tensors disagree.
        """
        kind = CLASSES.get(str(config.get("class", "")).rpartition(".")[2])
        if kind is None:
            raise ValueError(
                f"the checkpoint's class is {config.get('class')!r}; "
                f"RITM has {' and '.join(CLASSES)}"
            )
        parameters = config.get("params")
        if not isinstance(parameters, Mapping):
            raise ValueError("the checkpoint's configuration has no mapping 'params'")
        known = cls(kind=kind)
        for name, entry in parameters.items():
            known = _with_parameter(known, name, entry)
        if tensors is not None:
            known.check(tensors)
        return known

    def check(self, tensors: Mapping[str, HasShape]) -> None:
        """Raise ValueError where the shapes of a state dict contradict this configuration."""
        for name, told in derived(tensors, self.kind).items():
            said = getattr(self, name)
            if said != told:
                raise ValueError(
                    f"the checkpoint's configuration says {name} = {said}, its tensors {told}"
                )


def derived(tensors: Mapping[str, HasShape], kind: str) -> dict[str, Any]:
    """What the shapes of a state dict tell about the configuration."""
    found: dict[str, Any] = {"use_rgb_conv": "rgb_conv.0.weight" in tensors}
    if "maps_transform.0.weight" in tensors:
        found["with_prev_mask"] = tensors["maps_transform.0.weight"].shape[1] == 3
    if kind == "hrnet":
        found.update(_derived_hrnet(tensors))
    elif "feature_extractor.aspp.project.0.weight" in tensors:
        found["deeplab_ch"] = tensors["feature_extractor.aspp.project.0.weight"].shape[0]
    return found


def _derived_hrnet(tensors: Mapping[str, HasShape]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    first = "feature_extractor.stage2.0.branches.0.0.conv1.weight"
    down = "feature_extractor.ocr_distri_head.object_context_block.f_down.0.weight"
    if first in tensors:
        found["width"] = tensors[first].shape[0]
    found["ocr_width"] = tensors[down].shape[0] if down in tensors else 0
    counted = sum(name.startswith("feature_extractor.") for name in tensors)
    found["small"] = counted < FULL_HRNET_TENSORS
    return found


def _with_parameter(config: RitmConfig, name: str, entry: Any) -> RitmConfig:
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
    if not isinstance(value, _TYPES[name]) or isinstance(value, bool) != (_TYPES[name] is bool):
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


def _types() -> dict[str, type | tuple[type, ...]]:
    spelled: dict[str, type | tuple[type, ...]] = {
        "int": int,
        "bool": bool,
        "str": str,
        "float": (int, float),
        "NormMeanStd": (list, tuple),
    }
    return {
        field.name: spelled[str(field.type)] for field in fields(RitmConfig) if field.name != "kind"
    }


_TYPES = _types()


ITERATIVE = RitmConfig(
    use_rgb_conv=False,
    use_leaky_relu=True,
    use_disks=True,
    norm_radius=5,
    with_prev_mask=True,
    with_aux_output=True,
)
"""The input stage that all published iterative networks share."""

CONFIGS: Mapping[str, RitmConfig] = {
    "ritm-hrnet18s": replace(ITERATIVE, width=18, ocr_width=48, small=True),
    "ritm-hrnet18": replace(ITERATIVE, width=18, ocr_width=64),
    "ritm-hrnet32": replace(ITERATIVE, width=32, ocr_width=128),
}
