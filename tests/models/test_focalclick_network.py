"""FocalClick's network and refiner, by their behaviour; equality with the authors' is golden."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models import focalclick
from models.focalclick_config import CONFIGS, FocalClickConfig
from models.focalclick_network import FocalClickNetwork, for_inference
from tests.models.focalclick_networks import TINY, calibrated, inputs

B0 = CONFIGS["focalclick-segformerb0-s2"]
BOTH = pytest.mark.parametrize("config", [TINY, B0], ids=["hrnet", "segformer"])


@BOTH
@pytest.mark.parametrize("stage", ["s1", "s2"])
def test_shapes(config: FocalClickConfig, stage: str) -> None:
    network = FocalClickNetwork(replace(config, pipeline_version=stage)).eval()
    images, points, focus = inputs()
    with torch.no_grad():
        outputs = network(images, points, None, focus)
    assert outputs.instances.shape == (4, 1, 64, 64)
    assert outputs.features.shape[2:] == ((8, 8) if stage == "s1" else (16, 16))
    assert {tensor.shape for tensor in outputs.refined} == {(4, 1, 64, 64)}
    assert (outputs.aux is None) == (config.kind == "segformer")


@BOTH
def test_one_call_trains_everything_that_is_alive(config: FocalClickConfig) -> None:
    network = FocalClickNetwork(config).train()
    images, points, focus = inputs(batch=2)
    outputs = network(images, points, torch.rand(2, 1, 64, 64), focus)
    losses = [outputs.instances, outputs.refined.logits, outputs.refined.trimap]
    sum(tensor.square().mean() for tensor in losses).backward()
    without = {
        name
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    }
    # Attention over one object never asks these (models.heads.ocr), and the aux loss is left out.
    assert all("f_pixel" in name or "f_object" in name for name in without)
    dead = {name for name, one in network.named_parameters() if not one.requires_grad}
    prefixes = ("maps_transform.", "refiner.feature_gate.")
    assert all(name.startswith(prefixes) for name in dead)
    assert bool(dead) == (config.kind == "segformer")


@BOTH
def test_faster_copy_gives_the_same(config: FocalClickConfig) -> None:
    network = calibrated(config)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images, points, focus = inputs()
    with torch.no_grad():
        slow, fast = (one(images, points, None, focus) for one in (network, for_inference(network)))
    pairs = ((fast.instances, slow.instances), (fast.refined.logits, slow.refined.logits))
    for found, wanted in pairs:
        torch.testing.assert_close(found.sigmoid(), wanted.sigmoid(), rtol=0, atol=1e-3)
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_clicks_and_previous_mask_matter() -> None:
    network = calibrated()
    images, points, focus = inputs()
    with torch.no_grad():
        plain = network(images, points).instances
        moved = network(images, points + 8).instances
        zeros = network(images, points, torch.zeros(4, 1, 64, 64)).instances
        ones = network(images, points, torch.ones(4, 1, 64, 64)).instances
        near = network(images, points, None, focus).refined.logits
        far = network(images, points, None, focus._replace(points=points + 8)).refined.logits
    assert torch.equal(plain, zeros)
    for other, than in ((moved, plain), (ones, plain), (far, near)):
        assert float((other - than).abs().max()) > 1e-3


def test_binary_previous_mask_is_an_option_of_the_file() -> None:
    network = calibrated(replace(TINY, binary_prev_mask=True))
    images, points, _ = inputs()
    soft = torch.rand(4, 1, 64, 64)
    with torch.no_grad():
        found = network(images, points, soft).instances
        hard = network(images, points, (soft > 0.5).float()).instances
    assert torch.equal(found, hard)


def test_refiner_leaves_the_coarse_logits_where_the_trimap_is_sure() -> None:
    network = calibrated()
    images, points, focus = inputs()
    with torch.no_grad():
        network.refiner.refine_trimap.bias.fill_(-1e4)
        kept = network(images, points, None, focus).refined
        network.refiner.refine_trimap.bias.fill_(1e4)
        replaced = network(images, points, None, focus).refined
    assert torch.equal(kept.logits, kept.coarse)
    assert float((replaced.logits - replaced.coarse).abs().max()) > 0.1


def test_unused_layers_do_nothing() -> None:
    network = calibrated(B0)
    images, points, focus = inputs()
    with torch.no_grad():
        before = network(images, points, None, focus)
        for layer in (network.maps_transform[0], network.refiner.feature_gate[0]):
            layer.weight.fill_(100.0)
        after = network(images, points, None, focus)
    assert torch.equal(before.refined.logits, after.refined.logits)


def test_names_have_networks() -> None:
    with torch.device("meta"):
        for name, config in CONFIGS.items():
            assert focalclick.network(name).config == config
            assert focalclick.network_of(name, {}).config == config
    with pytest.raises(KeyError):
        focalclick.network("focalclick-segformerb5-s2")
