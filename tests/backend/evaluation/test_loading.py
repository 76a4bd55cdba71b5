"""Which models can be evaluated by clicks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from backend import weights
from backend.errors import UnknownModelName
from backend.evaluation import loading
from backend.evaluation.datasets import DataSet
from backend.settings import Settings
from models import checkpoints
from models.transt import TransTNetwork


@pytest.mark.parametrize("faithful", [True, False])
def test_a_tracker_answers_no_clicks(tmp_path: Path, faithful: bool) -> None:
    torch.manual_seed(0)
    tensors = TransTNetwork(2).state_dict()
    file = tmp_path / "tracker.safetensors"
    checkpoints.save(checkpoints.Checkpoint("transt", tensors, {"layers": 2}), file)
    settings = Settings(data_dir=tmp_path / "data")
    weights.add(settings, file, "mine")
    nothing = DataSet("none", "folder", tmp_path, ())
    with pytest.raises(UnknownModelName, match="transt is there to track boxes through video"):
        loading.load(settings, "transt@mine", nothing, faithful=faithful)
