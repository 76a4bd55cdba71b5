"""What a SimpleClick network is built from, and how the authors' checkpoints spell it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from models.backbones.vit import VitShape
from models.heads.simple_pyramid import Upsampling, Widths
from models.ritm_config import HasShape, NormMeanStd

CLASS = "PlainVitModel"

LARGEST_SIDE = 4096
"""Positions of larger pictures are not stored by anybody."""

ONLY_KNOWN: Mapping[str, tuple[object, ...]] = {
    "use_rgb_conv": (False,),
    "with_prev_mask": (True,),
    "use_disks": (True,),
    "random_split": (False,),
    "in_chans": (3,),
    "qkv_bias": (True,),
    "num_classes": (1,),
    "align_corners": (False,),
    "in_index": ([0, 1, 2, 3], (0, 1, 2, 3)),
}
"""Parameters that have a single value in all published files, and change the network."""

WITHOUT_EFFECT = frozenset(
    {
        "with_aux_output",
        "cpu_dist_maps",
        "use_leaky_relu",
        "binary_prev_mask",
        "loss_decode",
        "dropout_ratio",
        "in_dim",
        "in_channels",
    }
)
"""Parameters of training, of other networks, and such as others repeat."""


@dataclass(frozen=True)
class SimpleClickConfig:
    """The sizes of a SimpleClick network.

    `shape` is the transformer's, `widths` the pyramid's levels, the finest first; `channels` is
    the width before the last layer and `upsample` how much finer than the finest level that is.
    Clicks are disks of `norm_radius` pixels of the network's input.
    """

    shape: VitShape = field(default_factory=VitShape)
    widths: Widths = (128, 256, 512, 1024)
    channels: int = 256
    upsample: Upsampling = "x1"
    norm_radius: float = 5
    norm_mean_std: NormMeanStd = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with_prev_mask: bool = True

    @property
    def sizes(self) -> tuple[object, ...]:
        """What tells one architecture from another: all sizes but that of the stored positions."""
        return replace(self.shape, side=self.shape.patch), self.widths, self.channels, self.upsample

    @classmethod
    def from_serialized(
        cls, config: Mapping[str, Any], tensors: Mapping[str, HasShape] | None = None
    ) -> SimpleClickConfig:
        """The configuration inside an author's checkpoint: {"class": ..., "params": ...}.

        With `tensors`, the checkpoint's state dict, the side of the stored positions is theirs:
        the authors' code replaces the positions without saying so in the configuration. Raises
        ValueError, with a sentence, for a class, parameter or value that is not known.
        """
        if str(config.get("class", "")).rpartition(".")[2] != CLASS:
            raise ValueError(
                f"the checkpoint's class is {config.get('class')!r}; SimpleClick has {CLASS}"
            )
        values = _flat(config.get("params"))
        for name, value in values.items():
            if name in ONLY_KNOWN and value not in ONLY_KNOWN[name]:
                raise ValueError(f"the checkpoint's {name} is {value!r}, which is not known here")
        side = _square(values.get("img_size", 448), "img_size")
        if tensors is not None and "backbone.pos_embed" in tensors:
            patch = _square(values.get("patch_size", 16), "patch_size")
            side = patch * _root(tensors["backbone.pos_embed"].shape[1] - 1)
        return cls._from_values(values, side)

    @classmethod
    def _from_values(cls, values: Mapping[str, Any], side: int) -> SimpleClickConfig:
        if not 1 <= side <= LARGEST_SIDE:
            raise ValueError(f"the checkpoint's positions are those of a picture {side} wide")
        shape = VitShape(
            patch=_square(values.get("patch_size", 16), "patch_size"),
            dim=_whole(values.get("embed_dim", 768), "embed_dim"),
            depth=_whole(values.get("depth", 12), "depth"),
            heads=_whole(values.get("num_heads", 12), "num_heads"),
            mlp_ratio=_number(values.get("mlp_ratio", 4), "mlp_ratio"),
            side=side,
        )
        widths = values.get("out_dims", cls.widths)
        if not isinstance(widths, list | tuple) or len(widths) != len(cls.widths):
            raise ValueError(f"the checkpoint's out_dims is {widths!r}, not four numbers")
        finest, fine, same, coarse = (_whole(width, "out_dims") for width in widths)
        upsample = values.get("upsample", cls.upsample)
        if upsample not in get_args(Upsampling):
            raise ValueError(f"the checkpoint's upsample is {upsample!r}, which is not known here")
        return cls(
            shape,
            (finest, fine, same, coarse),
            _whole(values.get("channels", cls.channels), "channels"),
            upsample,
            _number(values.get("norm_radius", cls.norm_radius), "norm_radius"),
            _mean_std(values.get("norm_mean_std", cls.norm_mean_std)),
        )


GROUPS = ("backbone_params", "neck_params", "head_params")
"""Parameters that are tables of parameters themselves."""

_SINGLE = ONLY_KNOWN.keys() | WITHOUT_EFFECT | {"norm_radius", "norm_mean_std"}
_GROUPED = (
    ONLY_KNOWN.keys()
    | WITHOUT_EFFECT
    | {"img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio"}
    | {"out_dims", "channels", "upsample"}
)


def _flat(parameters: object) -> dict[str, Any]:
    """All parameters by name, those inside tables too. Raises ValueError for an unknown one."""
    if not isinstance(parameters, Mapping):
        raise ValueError("the checkpoint's configuration has no mapping 'params'")
    values: dict[str, Any] = {}
    for name, entry in parameters.items():
        if not isinstance(entry, Mapping) or "value" not in entry:
            raise ValueError(f"the checkpoint's parameter {name!r} is {entry!r}, without a 'value'")
        value = entry["value"]
        if name in GROUPS and isinstance(value, Mapping):
            unknown = [key for key in value if key not in _GROUPED]
            values.update(value)
        else:
            unknown = [name] if name not in _SINGLE and entry.get("specified", True) else []
            values[name] = value
        if unknown:
            raise ValueError(f"the checkpoint's parameter {unknown[0]!r} is not known")
    return values


def _whole(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1 << 16:
        raise ValueError(f"the checkpoint's {name} is {value!r}, not a size")
    return value


def _number(value: object, name: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1 << 16:
        raise ValueError(f"the checkpoint's {name} is {value!r}, not a positive number")
    return value


def _square(value: object, name: str) -> int:
    """The side of a square, given as such or as a pair."""
    pair = list(value) if isinstance(value, list | tuple) else [value, value]
    if len(pair) != 2 or pair[0] != pair[1]:
        raise ValueError(f"the checkpoint's {name} is {value!r}, not a square")
    return _whole(pair[0], name)


def _root(count: int) -> int:
    side = math.isqrt(max(count, 0))
    if side**2 != count:
        raise ValueError(f"the checkpoint has positions for {count} patches, which fill no square")
    return side


def _mean_std(value: Any) -> NormMeanStd:
    try:
        mean, std = (tuple(float(number) for number in row) for row in value)
        if len(mean) != 3 or len(std) != 3:
            raise ValueError
    except (TypeError, ValueError):
        raise ValueError(f"the checkpoint's norm_mean_std is {value!r}, not two triples") from None
    return (mean, std)


CONFIGS: Mapping[str, SimpleClickConfig] = {
    "simpleclick-vit-b": SimpleClickConfig(),
    "simpleclick-vit-l": SimpleClickConfig(
        VitShape(dim=1024, depth=24, heads=16), (192, 384, 768, 1536)
    ),
    "simpleclick-vit-h": SimpleClickConfig(
        VitShape(patch=14, dim=1280, depth=32, heads=16), (240, 480, 960, 1920)
    ),
}
