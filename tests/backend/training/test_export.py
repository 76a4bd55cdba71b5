from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

import models
from backend.training.export import HALF, WEIGHTS, export, not_finite
from backend.training.recipe import Inputs
from models import checkpoints
from tests.backend.training.toy import NORMED, ToyTask


def test_both_files_are_weights_that_every_command_can_use(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = models.create("ritm-hrnet18s")
    with torch.no_grad():
        network.get_buffer("feature_extractor.bn1.running_var").fill_(1e6)
    task = ToyTask(NORMED, Inputs((), None, torch.device("cpu"), 0))
    files = export(tmp_path, task, network, "ritm-hrnet18s", "mine", half=True)
    assert [file.name for file in files] == [WEIGHTS, HALF]
    full, half = map(checkpoints.load, files)
    assert (full.architecture, full.weights) == (half.architecture, half.weights)
    assert (full.architecture, full.weights) == ("ritm-hrnet18s", "mine")
    for name, tensor in network.state_dict().items():
        assert torch.equal(full.tensors[name], tensor)
        assert half.tensors[name].dtype is tensor.dtype
        torch.testing.assert_close(half.tensors[name], tensor, rtol=1e-3, atol=1e-6)
    sizes = [file.stat().st_size for file in files]
    assert sizes[1] < 0.55 * sizes[0]
    assert all(file.stat().st_mode & 0o044 == 0o044 for file in files)
    models.segmenter("ritm-hrnet18s", weights=files[1])
    assert {path.name for path in tmp_path.iterdir()} == {WEIGHTS, HALF}


def test_tensors_that_hold_no_numbers_are_named() -> None:
    network = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    assert not_finite(network) == []
    network[1].running_var.fill_(float("nan"))
    assert not_finite(network) == ["1.running_var"]
