"""ClickAttention's files: by their class, or by their tensors where there is no configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models import checkpoints
from models.clickattention import network_of
from models.clickattention_config import CONFIGS, ClickAttentionConfig, Version
from models.clickattention_network import ClickAttentionNetwork
from models.recognition import CheckpointError, recognised


def tensors_of(config: ClickAttentionConfig) -> dict[str, Tensor]:
    """A network's state dict that takes no memory."""
    with torch.device("meta"):
        return dict(ClickAttentionNetwork(config).state_dict())


def container(config: ClickAttentionConfig, **more: Any) -> dict[str, Any]:
    envelope = config.serialized()
    envelope["class"] = "isegm.model.is_strong_baseline.SegFormerModelNoRefine"
    envelope["params"] |= {name: {"type": "builtin", "value": v} for name, v in more.items()}
    return {"state_dict": tensors_of(config), "config": envelope}


@pytest.mark.parametrize("name", CONFIGS)
def test_published_networks_by_class_and_by_tensors(name: str) -> None:
    config = CONFIGS[name]
    told = recognised(container(config, optim="adamw"), "248.pth")
    assert told.architecture == name
    assert network_config(told.architecture, told.config) == config
    bare = recognised(tensors_of(config), "248.pth")
    assert (bare.architecture, bare.config) == (name, {})


def network_config(name: str, config: Any) -> ClickAttentionConfig:
    with torch.device("meta"):
        return network_of(name, config).config


def test_flags_of_another_run_come_from_its_tensors() -> None:
    config = ClickAttentionConfig("b0", (False, False, True, True))
    found = recognised(tensors_of(config), "run.pth")
    assert found.architecture == "clickattention-b0-s2"
    assert network_config(found.architecture, found.config) == config


def test_flags_that_a_configuration_leaves_out_come_from_the_tensors() -> None:
    config = ClickAttentionConfig("b3", (False, True, False, True))
    content = container(config)
    del content["config"]["params"]["use_attn_weight"]
    found = recognised(content, "run.pth")
    assert found.architecture == "clickattention-b3-s2"
    assert network_config(found.architecture, found.config) == config


@pytest.mark.parametrize("version", ["b0", "b3"])
def test_other_depths_are_refused(version: Version) -> None:
    tensors = tensors_of(ClickAttentionConfig(version))
    for name in list(tensors):
        if "block3.1." in name:
            tensors[name.replace("block3.1.", "block3.18.")] = tensors[name]
            tensors[name.replace("block3.1.", "block3.2.")] = tensors[name]
    with pytest.raises(CheckpointError, match="known are B0"):
        recognised(tensors, "mit_b5.pth")


def test_networks_with_a_refiner_are_of_another_system() -> None:
    tensors = tensors_of(ClickAttentionConfig("b0"))
    tensors["refiner.refine_pred.weight"] = torch.empty(1, device="meta")
    with pytest.raises(CheckpointError, match="of no network that is known here"):
        recognised(tensors, "comb.pth")


def test_configuration_that_is_not_known_is_refused_with_the_files_name() -> None:
    content = container(CONFIGS["clickattention-b0-s2"], pipeline_version="s1")
    with pytest.raises(CheckpointError, match=r"s1\.pth: the checkpoint's pipeline_version is"):
        recognised(content, "s1.pth")


def test_file_of_ours_keeps_flags_that_are_not_the_published_ones(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = ClickAttentionConfig("b0", (False, False, False, True))
    network = ClickAttentionNetwork(config)
    torch.save(network.state_dict(), tmp_path / "run.pth")
    checkpoint = checkpoints.load(tmp_path / "run.pth")
    checkpoints.save(checkpoint, tmp_path / "run.safetensors")
    again = checkpoints.load(tmp_path / "run.safetensors")
    assert network_config(again.architecture, again.config) == config


def test_tensors_that_contradict_the_configuration_are_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = ClickAttentionNetwork(ClickAttentionConfig("b0", (False, False, False, True)))
    content = {
        "state_dict": network.state_dict(),
        "config": CONFIGS["clickattention-b0-s2"].serialized(),
    }
    torch.save(content, tmp_path / "run.pth")
    with pytest.raises(CheckpointError, match="24 tensors missing"):
        checkpoints.load(tmp_path / "run.pth")
