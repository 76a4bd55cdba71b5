from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import models
from backend.errors import InvalidRequest
from backend.training.start_weights import (
    HRNET,
    MAE,
    MIT,
    RESNET,
    Backbone,
    gluon_xavier,
    resized_positions,
    start_from,
)
from models import checkpoints
from models.checkpoints import Checkpoint

RITM = "ritm-hrnet18s"


@pytest.fixture(scope="module")
def pretrained() -> dict[str, Tensor]:
    """A state dict of RITM's network, unlike that of a fresh one."""
    torch.manual_seed(7)
    return models.create(RITM).state_dict()


def of_backbone(state: dict[str, Tensor], backbone: Backbone) -> dict[str, Tensor]:
    return {
        name.removeprefix(backbone.prefix): value
        for name, value in state.items()
        if name.startswith(backbone.prefix)
    }


def test_a_whole_network_of_ours(pretrained: dict[str, Tensor], tmp_path: Path) -> None:
    checkpoints.save(Checkpoint(RITM, pretrained), tmp_path / "whole.safetensors")
    network = models.create(RITM)
    said = start_from(network, RITM, tmp_path / "whole.safetensors", HRNET)
    assert said == "all weights of whole.safetensors"
    for name, value in network.state_dict().items():
        assert torch.equal(value, pretrained[name]), name


def test_an_imagenet_hrnet(pretrained: dict[str, Tensor], tmp_path: Path) -> None:
    heads = ("aux_head.", "cls_head.", "conv3x3_ocr.", "ocr_distri_head.")
    body = {
        f"model.{name}": value
        for name, value in of_backbone(pretrained, HRNET).items()
        if not name.startswith(heads)
    }
    body["model.last_layer.0.weight"] = pretrained["feature_extractor.aux_head.0.weight"]
    body["model.classifier.weight"] = torch.zeros(1000, 2048)
    torch.save({"state_dict": body}, tmp_path / "hrnet.pth")
    network = models.create(RITM)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    said = start_from(network, RITM, tmp_path / "hrnet.pth", HRNET)
    assert said == f"{len(body) - 1} tensors of the backbone in hrnet.pth"
    after = network.state_dict()
    name = "feature_extractor.stage4.1.branches.3.1.conv2.weight"
    assert torch.equal(after[name], pretrained[name])
    name = "feature_extractor.aux_head.0.weight"
    assert torch.equal(after[name], pretrained[name])
    for name in ("maps_transform.0.weight", "feature_extractor.cls_head.weight"):
        assert torch.equal(after[name], before[name])


@pytest.mark.parametrize(
    ("architecture", "backbone", "sample"),
    [
        ("fbrs-resnet34", RESNET, "feature_extractor.backbone.layer4.2.conv2.weight"),
        ("focalclick-segformerb0-s1", MIT, "feature_extractor.backbone.block4.1.mlp.fc2.weight"),
    ],
)
def test_other_backbones(
    architecture: str, backbone: Backbone, sample: str, tmp_path: Path
) -> None:
    torch.manual_seed(7)
    state = models.create(architecture).state_dict()
    body = {
        name: value for name, value in of_backbone(state, backbone).items() if "side" not in name
    }
    save_file({**body, "fc.weight": torch.zeros(1000, 512)}, tmp_path / "body.safetensors")
    torch.manual_seed(8)
    network = models.create(architecture)
    assert not torch.equal(network.state_dict()[sample], state[sample])
    start_from(network, architecture, tmp_path / "body.safetensors", backbone)
    assert torch.equal(network.state_dict()[sample], state[sample])


def test_a_vision_transformer_of_another_grid(tmp_path: Path) -> None:
    class Small(nn.Module):
        def __init__(self, grid: int) -> None:
            super().__init__()
            self.backbone = nn.Module()
            self.backbone.pos_embed = nn.Parameter(torch.randn(1, 1 + grid**2, 6))
            self.backbone.patch_embed = nn.Conv2d(3, 6, 16, 16)

    pretrained = Small(14)
    body = of_backbone(pretrained.state_dict(), MAE)
    torch.save({"model": {**body, "norm.weight": torch.ones(6)}}, tmp_path / "mae.pth")
    network = Small(28)
    start_from(network, "simpleclick-vit-b", tmp_path / "mae.pth", MAE)
    assert torch.equal(network.backbone.patch_embed.weight, pretrained.backbone.patch_embed.weight)
    found, given = network.backbone.pos_embed.data, pretrained.backbone.pos_embed.data
    assert torch.equal(found[:, 0], given[:, 0])
    assert found.shape == (1, 785, 6)
    field = found[0, 1:].reshape(28, 28, 6)
    coarse = field.reshape(14, 2, 14, 2, 6).mean(dim=(1, 3))
    assert torch.corrcoef(torch.stack([coarse.flatten(), given[0, 1:].flatten()]))[0, 1] > 0.95


def test_positions_of_the_same_grid_stay() -> None:
    positions = torch.randn(1, 17, 4)
    assert resized_positions(positions, 17) is positions
    assert resized_positions(positions, 20) is positions


def test_what_does_not_fit_is_refused(pretrained: dict[str, Tensor], tmp_path: Path) -> None:
    network = models.create(RITM)
    before = {name: value.clone() for name, value in network.state_dict().items()}

    def refused(content: object, match: str) -> None:
        torch.save(content, tmp_path / "file.pth")
        with pytest.raises(InvalidRequest, match=match):
            start_from(network, RITM, tmp_path / "file.pth", HRNET)

    body = of_backbone(pretrained, HRNET)
    refused({name: value for name, value in body.items() if "stage4" in name}, "neither a whole")
    refused({"other.weight": torch.zeros(3)}, "0% of the tensors under feature_extractor.")
    wide = {**body, "conv2.weight": torch.zeros(32, 64, 3, 3)}
    refused(wide, r"conv2.weight is \[32, 64, 3, 3\].*\[64, 64, 3, 3\]")
    refused([1, 2, 3], "file.pth")
    checkpoints.save(
        Checkpoint("fbrs-resnet34", models.create("fbrs-resnet34").state_dict()),
        tmp_path / "other.safetensors",
    )
    with pytest.raises(InvalidRequest, match=r"other\.safetensors holds weights of fbrs"):
        start_from(network, RITM, tmp_path / "other.safetensors", HRNET)
    (tmp_path / "file.pth").write_bytes(b"no weights at all")
    with pytest.raises(InvalidRequest, match=r"file\.pth"):
        start_from(network, RITM, tmp_path / "file.pth", HRNET)
    baseline = dict(pretrained)
    baseline["maps_transform.0.weight"] = baseline["maps_transform.0.weight"][:, :2]
    checkpoints.save(Checkpoint(RITM, baseline), tmp_path / "baseline.safetensors")
    with pytest.raises(InvalidRequest, match=r"baseline\.safetensors"):
        start_from(network, RITM, tmp_path / "baseline.safetensors", HRNET)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_gluons_xavier() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(64, 128, 3), nn.BatchNorm2d(128), nn.Linear(300, 100), nn.LayerNorm(5)
    )
    nn.init.constant_(network[1].weight, 9)
    nn.init.constant_(network[3].weight, 9)
    gluon_xavier(network)
    assert float(network[0].weight.detach().std()) == pytest.approx(
        math.sqrt(2 / (96 * 9)), rel=0.02
    )
    assert float(network[2].weight.detach().std()) == pytest.approx(math.sqrt(2 / 200), rel=0.02)
    assert not network[0].bias.any()
    assert (network[1].weight == 1).all()
    assert (network[3].weight == 9).all()
