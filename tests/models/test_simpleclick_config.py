"""The authors' configuration of SimpleClick networks, read and refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.simpleclick import CONFIGS, SimpleClickConfig, network_of

CLASS = "isegm.model.is_plainvit_model.PlainVitModel"


def entry(value: Any, *, specified: bool = True) -> dict[str, Any]:
    return {"type": "builtin", "value": value, "specified": specified}


def serialized(**changes: Any) -> dict[str, Any]:
    """ViT-B as its authors save it; `changes` go to the group that has the parameter."""
    groups: dict[str, dict[str, Any]] = {
        "backbone_params": {
            "img_size": (448, 448),
            "patch_size": (16, 16),
            "in_chans": 3,
            "embed_dim": 768,
            "depth": 12,
            "num_heads": 12,
            "mlp_ratio": 4,
            "qkv_bias": True,
        },
        "neck_params": {"in_dim": 768, "out_dims": [128, 256, 512, 1024]},
        "head_params": {
            "in_channels": [128, 256, 512, 1024],
            "in_index": [0, 1, 2, 3],
            "dropout_ratio": 0.1,
            "num_classes": 1,
            "loss_decode": None,
            "align_corners": False,
            "upsample": "x1",
            "channels": 256,
        },
    }
    single: dict[str, Any] = {
        "use_disks": True,
        "norm_radius": 5,
        "with_prev_mask": True,
        "random_split": False,
    }
    for name, value in changes.items():
        group = next((g for g in groups.values() if name in g), single)
        group[name] = value
    parameters = {name: entry(value) for name, value in (single | groups).items()}
    parameters["norm_mean_std"] = entry(
        ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), specified=False
    )
    parameters["use_rgb_conv"] = entry(False, specified=False)
    parameters["what_comes_later"] = entry("anything", specified=False)
    return {"class": CLASS, "params": parameters}


def test_the_published_configuration_is_the_default() -> None:
    assert SimpleClickConfig.from_serialized(serialized()) == CONFIGS["simpleclick-vit-b"]


def test_lists_and_tuples_are_alike() -> None:
    """A configuration that went through JSON has lists."""
    told = serialized(img_size=[448, 448], patch_size=[16, 16], out_dims=(128, 256, 512, 1024))
    assert SimpleClickConfig.from_serialized(told) == CONFIGS["simpleclick-vit-b"]


def test_the_side_of_the_positions_is_that_of_the_tensors() -> None:
    tensors = {"backbone.pos_embed": torch.empty(1, 1 + 42**2, 768, device="meta")}
    told = SimpleClickConfig.from_serialized(serialized(), tensors)
    assert told.shape.side == 672
    assert told.sizes == CONFIGS["simpleclick-vit-b"].sizes
    tensors = {"backbone.pos_embed": torch.empty(1, 43, 768, device="meta")}
    with pytest.raises(ValueError, match="42 patches, which fill no square"):
        SimpleClickConfig.from_serialized(serialized(), tensors)


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"use_rgb_conv": True, "random_split": True}, "random_split is True"),
        ({"with_prev_mask": False}, "with_prev_mask is False"),
        ({"use_disks": False}, "use_disks is False"),
        ({"qkv_bias": False}, "qkv_bias is False"),
        ({"in_index": [3, 2, 1, 0]}, "in_index is"),
        ({"num_classes": 2}, "num_classes is 2"),
        ({"upsample": "x3"}, "upsample is 'x3'"),
        ({"out_dims": [1, 2, 3]}, "not four numbers"),
        ({"embed_dim": "768"}, "embed_dim is '768', not a size"),
        ({"embed_dim": True}, "embed_dim is True, not a size"),
        ({"depth": 1 << 40}, "not a size"),
        ({"img_size": (448, 224)}, "not a square"),
        ({"img_size": 16 * 257}, "a picture 4112 wide"),
        ({"patch_size": (15, 15)}, "a ViT's patch"),
        ({"norm_radius": -5}, "not a positive number"),
        ({"mlp_ratio": None}, "not a positive number"),
        ({"telepathy": 1}, "'telepathy' is not known"),
    ],
)
def test_what_is_not_known_is_refused(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        SimpleClickConfig.from_serialized(serialized(**changes))


def test_configurations_of_another_form_are_refused() -> None:
    config = serialized()
    with pytest.raises(ValueError, match=r"class is 'isegm\.x\.HRNetModel'"):
        SimpleClickConfig.from_serialized({**config, "class": "isegm.x.HRNetModel"})
    with pytest.raises(ValueError, match="no mapping 'params'"):
        SimpleClickConfig.from_serialized({"class": CLASS, "params": [1]})
    bare = {**config["params"], "use_disks": True}
    with pytest.raises(ValueError, match="without a 'value'"):
        SimpleClickConfig.from_serialized({"class": CLASS, "params": bare})
    odd = {**config["params"], "neck_params": entry({"hidden": 3})}
    with pytest.raises(ValueError, match="'hidden' is not known"):
        SimpleClickConfig.from_serialized({"class": CLASS, "params": odd})
    odd = {**config["params"], "norm_mean_std": entry([1, 2])}
    with pytest.raises(ValueError, match="not two triples"):
        SimpleClickConfig.from_serialized({"class": CLASS, "params": odd})


def test_a_configuration_builds_only_its_own_architecture() -> None:
    with pytest.raises(ValueError, match="not that of simpleclick-vit-l"):
        network_of("simpleclick-vit-l", serialized())
    with torch.device("meta"):
        tensors = network_of("simpleclick-vit-b", serialized(img_size=224)).state_dict()
    assert tensors["backbone.pos_embed"].shape == (1, 197, 768)
