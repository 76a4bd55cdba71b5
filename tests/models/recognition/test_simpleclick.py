"""SimpleClick's files among the files of others."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models.recognition import CheckpointError, opened, recognised
from models.simpleclick import CONFIGS, SimpleClickNetwork, network_of
from tests.models.test_simpleclick_config import CLASS, serialized


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    with torch.device("meta"):
        return SimpleClickNetwork(CONFIGS["simpleclick-vit-b"]).state_dict()


def test_by_class_and_configuration(tensors: dict[str, Tensor]) -> None:
    found = recognised({"state_dict": tensors, "config": serialized()}, "net.pth")
    assert (found.architecture, found.tensors) == ("simpleclick-vit-b", tensors)
    renamed = {**serialized(), "class": f"click.{CLASS}"}
    found = recognised({"state_dict": tensors, "config": renamed}, "net.pth")
    assert found.architecture == "simpleclick-vit-b"


@pytest.mark.parametrize("name", CONFIGS)
def test_by_tensors_alone(name: str) -> None:
    with torch.device("meta"):
        own = SimpleClickNetwork(CONFIGS[name]).state_dict()
    assert recognised(own, "net.pth").architecture == name


def test_replaced_positions_are_written_into_the_configuration(tensors: dict[str, Tensor]) -> None:
    """Our own file has no tensors to ask before its network is built."""
    larger = {**tensors, "backbone.pos_embed": torch.empty(1, 1 + 42**2, 768, device="meta")}
    config = serialized()
    found = recognised({"state_dict": larger, "config": config}, "net.pth")
    with torch.device("meta"):
        own = network_of(found.architecture, found.config).state_dict()
    assert own["backbone.pos_embed"].shape == (1, 1 + 42**2, 768)
    assert config == serialized(), "the file's own configuration stays as it is"


def test_other_sizes_are_refused_with_those_that_are_known(tensors: dict[str, Tensor]) -> None:
    other: Any = {"state_dict": tensors, "config": serialized(depth=8)}
    with pytest.raises(
        CheckpointError, match=r"width 768 and depth 8; known are simpleclick-vit-b"
    ):
        recognised(other, "net.pth")
    narrow = {"patch_embed_coords.proj.weight": torch.empty(32, 3, 16, 16, device="meta")}
    with pytest.raises(CheckpointError, match="width 32 and patch 16"):
        recognised(narrow, "net.pth")
    wrong = {"state_dict": tensors, "config": serialized(use_disks=False)}
    with pytest.raises(CheckpointError, match=r"net\.pth: the checkpoint's use_disks is False"):
        recognised(wrong, "net.pth")


def test_others_are_left_to_others(tensors: dict[str, Tensor]) -> None:
    from models.recognition import simpleclick

    other = {"state_dict": tensors, "config": {"class": "isegm.model.HRNetModel", "params": {}}}
    assert simpleclick.recognise(opened(other, "net.pth")) is None
    assert simpleclick.recognise(opened({"a": torch.zeros(1)}, "net.pth")) is None
