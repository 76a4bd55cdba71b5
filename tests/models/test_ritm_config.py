"""The authors' serialised configurations."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.ritm import RitmNetwork, network_of
from models.ritm_config import RitmConfig
from tests.models.ritm_networks import TINY

VALUES: dict[str, Any] = {
    "width": 4,
    "ocr_width": 4,
    "small": True,
    "with_aux_output": True,
    "use_leaky_relu": True,
    "use_rgb_conv": False,
    "use_disks": True,
    "norm_radius": 5,
    "with_prev_mask": True,
    "backbone_lr_mult": 0.1,
    "norm_layer": "torch.nn.modules.batchnorm.BatchNorm2d",
    "cpu_dist_maps": False,
    "clicks_groups": None,
    "norm_mean_std": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
}


def serialized(kind: str = "isegm.model.is_hrnet_model.HRNetModel", **values: Any) -> Any:
    params = {
        name: {"type": "builtin", "value": value, "specified": True}
        for name, value in {**VALUES, **values}.items()
    }
    return {"class": kind, "params": params}


def test_reads_what_the_authors_write() -> None:
    assert RitmConfig.from_serialized(serialized()) == TINY


def test_the_package_around_the_class_does_not_matter() -> None:
    assert RitmConfig.from_serialized(serialized("elsewhere.HRNetModel")) == TINY


def test_configuration_and_tensors_of_one_network_agree() -> None:
    tensors = RitmNetwork(TINY).state_dict()
    assert RitmConfig.from_serialized(serialized(), tensors) == TINY


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", 8),
        ("ocr_width", 8),
        ("small", False),
        ("with_prev_mask", False),
        ("use_rgb_conv", True),
    ],
)
def test_tensors_that_say_otherwise_are_named(name: str, value: object) -> None:
    with torch.device("meta"):
        tensors = RitmNetwork(RitmConfig.from_serialized(serialized())).state_dict()
    with pytest.raises(ValueError, match=f"says {name} = {value}"):
        RitmConfig.from_serialized(serialized(**{name: value}), tensors)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"width": "18"}, "'width' is '18', of the wrong type"),
        ({"use_disks": 1}, "'use_disks' is 1, of the wrong type"),
        ({"norm_radius": True}, "'norm_radius' is True, of the wrong type"),
        ({"norm_mean_std": [[1, 2], [3]]}, "not two triples"),
        ({"norm_layer": "os.system"}, "norm_layer is 'os.system'"),
        ({"clicks_groups": 3}, "clicks_groups is 3"),
        ({"colours": 5}, "'colours' = 5 is not known"),
    ],
)
def test_wrong_values_are_named(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        RitmConfig.from_serialized(serialized(**changes))


def test_unknown_defaults_are_let_pass() -> None:
    config = serialized()
    config["params"]["colours"] = {"type": "builtin", "value": 5, "specified": False}
    assert RitmConfig.from_serialized(config) == TINY


@pytest.mark.parametrize(
    "config",
    [{}, {"class": "x.ViTModel", "params": {}}, {"class": "x.HRNetModel"}, {"class": 3}],
)
def test_other_files_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="checkpoint"):
        RitmConfig.from_serialized(config)


def test_parameter_without_a_value_is_refused() -> None:
    config = serialized()
    config["params"]["width"] = 18
    with pytest.raises(ValueError, match="without a 'value'"):
        RitmConfig.from_serialized(config)


def test_deeplab() -> None:
    config = RitmConfig.from_serialized(
        {
            "class": "isegm.model.is_deeplab_model.DeeplabModel",
            "params": {
                "backbone": {"value": "resnet34", "specified": True},
                "deeplab_ch": {"value": 128, "specified": True},
                "aspp_dropout": {"value": 0.2, "specified": True},
                "use_rgb_conv": {"value": False, "specified": True},
                "backbone_norm_layer": {"value": None, "specified": False},
            },
        }
    )
    assert (config.kind, config.backbone, config.deeplab_ch) == ("deeplab", "resnet34", 128)
    with pytest.raises(ValueError, match="resnet18"):
        RitmConfig(kind="deeplab", backbone="resnet18")


def test_network_of_a_checkpoint_without_a_configuration_is_the_published_one() -> None:
    with torch.device("meta"):
        assert network_of("ritm-hrnet18s", {}).config.width == 18
        assert network_of("ritm-hrnet18s", serialized()).config == TINY
