"""ClickAttention's configuration as checkpoints spell it."""

from __future__ import annotations

from typing import Any

import pytest

from models.clickattention_config import CONFIGS, ClickAttentionConfig

PUBLISHED: dict[str, Any] = {
    "pipeline_version": "s2",
    "model_version": "b3",
    "use_disks": True,
    "norm_radius": 5,
    "with_prev_mask": True,
    "use_attn_weight": [False, True, True, True],
    "norm_mean_std": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "crop_size": (512, 512),
    "lr": 5e-4,
}


def serialized(path: str = "isegm.model.is_strong_baseline.SegFormerModelNoRefine", **more: Any):
    values = {**PUBLISHED, **more}
    entries = {name: {"type": "builtin", "value": value} for name, value in values.items()}
    return {"class": path, "params": entries}


def test_published_configuration() -> None:
    found = ClickAttentionConfig.from_serialized(serialized())
    assert found == CONFIGS["clickattention-b3-s2"]
    assert found.stages == (2, 3, 4)


def test_own_spelling_says_the_same() -> None:
    for config in (*CONFIGS.values(), ClickAttentionConfig("b0", (True, False, False, True))):
        assert ClickAttentionConfig.from_serialized(config.serialized()) == config


@pytest.mark.parametrize(
    "name",
    [
        "use_affinity_loss",
        "use_pcgrad",
        "cross_kvq",
        "trimap",
        "use_cross_attn",
        "use_attn_weight_noise",
    ],
)
def test_experiments_that_were_never_published_say_nothing(name: str) -> None:
    found = ClickAttentionConfig.from_serialized(serialized(**{name: "anything"}))
    assert found == CONFIGS["clickattention-b3-s2"]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("model_version", "b5", "model_version is 'b5'; known are b0, b3"),
        ("pipeline_version", "s1", "pipeline_version is 's1', which is not known"),
        ("norm_radius", 3, "norm_radius is 3"),
        ("binary_prev_mask", True, "binary_prev_mask is True"),
        ("use_attn_weight", [True, True], r"use_attn_weight is \[True, True\], not four booleans"),
        ("use_attn_weight", [0, 1, 1, 1], "not four booleans"),
        ("clicks_groups", [1, 2], "clicks_groups"),
    ],
)
def test_other_networks_are_refused(name: str, value: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ClickAttentionConfig.from_serialized(serialized(**{name: value}))


def test_other_classes_and_forms_are_refused() -> None:
    with pytest.raises(ValueError, match="BaselineModel"):
        ClickAttentionConfig.from_serialized(serialized("isegm.model.x.BaselineModel"))
    with pytest.raises(ValueError, match="has no mapping 'params'"):
        ClickAttentionConfig.from_serialized({"class": "SegFormerModelNoRefine"})
    with pytest.raises(ValueError, match="'lr' is 3, without a 'value'"):
        ClickAttentionConfig.from_serialized(
            {"class": "SegFormerModelNoRefine", "params": {"lr": 3}}
        )
