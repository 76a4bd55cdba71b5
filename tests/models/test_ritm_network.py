"""The networks' parts and variants."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from models.backbones.resnet import ResNet
from models.ritm import CONFIGS, RitmNetwork, network
from models.ritm_config import RitmConfig
from tests.models.ritm_networks import TINY, calibrated

IMAGE = torch.rand(2, 3, 40, 56)
POINTS = torch.tensor([[[10.0, 20, 0], [-1, -1, -1]]] * 2)


@pytest.mark.parametrize(
    ("name", "tensors", "values"),
    [
        ("ritm-hrnet18s", 929, 4_237_744),
        ("ritm-hrnet18", 1895, 10_068_217),
        ("ritm-hrnet32", 1895, 31_012_797),
    ],
)
def test_published_sizes(name: str, tensors: int, values: int) -> None:
    with torch.device("meta"):
        state = network(name).state_dict()
    assert len(state) == tensors
    assert sum(tensor.numel() for tensor in state.values()) == values
    assert CONFIGS[name].with_prev_mask


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"with_prev_mask": False},
        {"conv_extend": True},
        {"use_rgb_conv": True, "use_disks": False, "norm_radius": 260},
        {"ocr_width": 0, "with_aux_output": False},
        {"with_aux_output": False},
        {"kind": "deeplab", "backbone": "resnet34", "deeplab_ch": 16},
        {"kind": "deeplab", "backbone": "resnet50", "deeplab_ch": 16},
    ],
)
def test_variants_answer_at_the_size_of_the_picture(changes: dict[str, Any]) -> None:
    variant = RitmNetwork(replace(TINY, **changes)).eval()
    with torch.inference_mode():
        logits, aux = variant(IMAGE, POINTS)
        features = variant.features(*variant.fuse(IMAGE, POINTS))
    assert logits.shape == (2, 1, 40, 56)
    assert features.shape[-2:] == (10, 14)
    has_aux = variant.config.with_aux_output and variant.config.kind == "hrnet"
    assert (aux is not None) == has_aux
    assert aux is None or aux.shape == logits.shape


def test_fusion_tensors_have_the_authors_names() -> None:
    def outside(config: RitmConfig) -> dict[str, list[int]]:
        with torch.device("meta"):
            state = RitmNetwork(config).state_dict()
        return {
            name: list(tensor.shape)
            for name, tensor in state.items()
            if not name.startswith("feature_extractor.")
        }

    assert outside(TINY) == {
        "maps_transform.0.weight": [16, 3, 1, 1],
        "maps_transform.0.bias": [16],
        "maps_transform.2.weight": [64, 16, 3, 3],
        "maps_transform.2.bias": [64],
        "maps_transform.3.scale": [1],
    }
    assert outside(replace(TINY, conv_extend=True, with_prev_mask=False)) == {
        "maps_transform.weight": [64, 2, 3, 3],
        "maps_transform.bias": [64],
    }


def test_no_previous_mask_is_an_empty_one() -> None:
    tiny = calibrated()
    with torch.inference_mode():
        absent = tiny(IMAGE, POINTS).instances
        empty = tiny(IMAGE, POINTS, torch.zeros(2, 1, 40, 56)).instances
        full = tiny(IMAGE, POINTS, torch.ones(2, 1, 40, 56)).instances
    assert torch.equal(absent, empty)
    assert not torch.allclose(absent, full)


def test_binary_previous_mask_is_cut_at_one_half() -> None:
    tiny = calibrated(replace(TINY, binary_prev_mask=True))
    with torch.inference_mode():
        faint = tiny(IMAGE, POINTS, torch.full((2, 1, 40, 56), 0.4)).instances
        assert torch.equal(faint, tiny(IMAGE, POINTS).instances)


@pytest.mark.parametrize("depth", [34, 50, 101])
def test_resnet_halves_the_picture_three_times(depth: int) -> None:
    with torch.device("meta"):
        low, high = ResNet(depth)(torch.rand(1, 3, 64, 80), torch.rand(1, 64, 32, 40))
    assert low.shape == (1, 64 if depth == 34 else 256, 16, 20)
    assert high.shape == (1, 512 if depth == 34 else 2048, 8, 10)


def test_extra_features_enter_the_first_channels_of_a_wider_stem() -> None:
    torch.manual_seed(0)
    wide = ResNet(50).eval()
    image, extra = torch.rand(1, 3, 32, 32), torch.rand(1, 64, 16, 16)
    padded = torch.cat([extra, torch.zeros_like(extra)], dim=1)
    with torch.inference_mode():
        assert torch.equal(wide(image, extra)[1], wide(image, padded)[1])
        assert not torch.equal(wide(image, extra)[1], wide(image)[1])
