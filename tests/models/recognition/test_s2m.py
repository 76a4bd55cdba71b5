"""S2M's files: a bare state dict, or the trainer's with its optimiser."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models import checkpoints, s2m
from models.recognition import CheckpointError, recognised


def tensors_of() -> dict[str, Tensor]:
    """The state dict, without memory."""
    with torch.device("meta"):
        return dict(s2m.network("s2m").state_dict())


def test_it_is_told_by_its_tensors() -> None:
    tensors = tensors_of()
    found = recognised(tensors, "a.pth")
    assert found.architecture == "s2m"
    assert found.tensors.keys() == tensors.keys()


def test_the_network_it_starts_from_is_another() -> None:
    tensors = tensors_of()
    tensors["backbone.conv1.weight"] = torch.empty((64, 3, 7, 7), device="meta")
    with pytest.raises(CheckpointError, match="no network that is known"):
        recognised(tensors, "a.pth")


@pytest.mark.parametrize("training", [False, True], ids=["released", "with optimiser"])
def test_the_authors_files_load(tmp_path: Path, training: bool) -> None:
    torch.manual_seed(0)
    network = s2m.network("s2m")
    tensors = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    content: object = OrderedDict(tensors)
    if training:
        adam = torch.optim.Adam(network.parameters(), lr=1e-4, weight_decay=1e-7)
        scheduler = torch.optim.lr_scheduler.MultiStepLR(adam, [])
        content = {
            "it": 20000,
            "network": content,
            "optimizer": adam.state_dict(),
            "scheduler": scheduler.state_dict(),
        }
    path = tmp_path / "s2m.pth"
    torch.save(content, path)
    loaded = checkpoints.load_for("s2m", path)
    assert loaded.weights == "lvis"
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in tensors.items())
    assert s2m.segmenter("s2m", path, picture_side=64).version.startswith("s2m@lvis:")


@pytest.mark.parametrize("network", [None, 7, {"weight": 3}])
def test_a_training_without_a_network_is_refused(network: object) -> None:
    with pytest.raises(CheckpointError, match="neither a flat table of tensors"):
        recognised({"it": 1, "network": network, "optimizer": {}}, "a.pth")
