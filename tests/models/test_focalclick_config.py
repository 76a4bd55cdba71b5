"""FocalClick's configurations, as published and as checkpoints spell them."""

from __future__ import annotations

from typing import Any

import pytest

from models.focalclick_config import CONFIGS, FocalClickConfig


def serialized(name: str = "SegFormerModel", **params: Any) -> dict[str, Any]:
    entries = {key: {"type": "builtin", "value": value} for key, value in params.items()}
    return {"class": f"isegm.model.{name}", "params": entries}


def test_published_networks_differ_in_design() -> None:
    designs = {config.design for config in CONFIGS.values()}
    assert len(designs) == len(CONFIGS) == 6


def test_radius_of_clicks_belongs_to_the_pipeline() -> None:
    radii = {name: config.click_radius for name, config in CONFIGS.items()}
    assert radii["focalclick-segformerb0-s1"] == 3
    assert radii["focalclick-hrnet18s-s1"] == 2
    assert {radii[name] for name in radii if name.endswith("s2")} == {5}


def test_checkpoints_configuration_is_read() -> None:
    config = FocalClickConfig.from_serialized(
        serialized(
            pipeline_version="s1",
            model_version="b3",
            norm_radius=260,
            use_disks=True,
            norm_mean_std=([0.1, 0.2, 0.3], [1, 1, 1]),
        )
    )
    assert (config.kind, config.pipeline_version, config.model_version) == ("segformer", "s1", "b3")
    assert config.norm_mean_std == ((0.1, 0.2, 0.3), (1.0, 1.0, 1.0))


def test_unknown_parameter_matters_only_where_it_was_given() -> None:
    config = serialized()
    config["params"]["colour"] = {"type": "builtin", "value": 1, "specified": False}
    assert FocalClickConfig.from_serialized(config).kind == "segformer"
    config["params"]["colour"]["specified"] = True
    with pytest.raises(ValueError, match="'colour' = 1 is not known"):
        FocalClickConfig.from_serialized(config)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (serialized("DeeplabModel"), "FocalClick has SegFormerModel and HRNetModel"),
        ({"class": "HRNetModel"}, "no mapping 'params'"),
        (serialized(model_version="b5"), "model_version is 'b5'; FocalClick has b0 and b3"),
        (serialized(pipeline_version="s3"), "has s1 and s2"),
        (serialized(use_rgb_conv=True), "use_rgb_conv is True, which is not known"),
        (serialized("HRNetModel", width="18"), "of the wrong type"),
        (serialized("HRNetModel", width=True), "of the wrong type"),
        (serialized(norm_mean_std=[[1, 2], [3, 4]]), "not two triples"),
        ({"class": "HRNetModel", "params": {"width": 18}}, "without a 'value'"),
    ],
)
def test_what_is_not_known_is_refused(config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        FocalClickConfig.from_serialized(config)
