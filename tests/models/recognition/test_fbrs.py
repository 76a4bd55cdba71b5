"""f-BRS's files: bare state dicts, with counters missing and a leftover of training."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models import checkpoints, fbrs
from models.fbrs_config import CONFIGS
from models.recognition import CheckpointError, recognised

BACKBONES = ("fbrs-resnet34", "fbrs-resnet50", "fbrs-resnet101", "fbrs-hrnet18", "fbrs-hrnet32")


def tensors_of(name: str) -> dict[str, Tensor]:
    """The state dict of a network, without memory."""
    with torch.device("meta"):
        return dict(fbrs.network(name).state_dict())


def converted(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As the authors' converted files are: no counters, one number more."""
    kept = {name: x for name, x in tensors.items() if not name.endswith("num_batches_tracked")}
    return {**kept, "aspp_dropout": torch.tensor(0.2)}


@pytest.mark.parametrize("name", BACKBONES)
def test_each_network_is_told_by_its_tensors(name: str) -> None:
    assert set(BACKBONES) == set(CONFIGS)
    tensors = tensors_of(name)
    assert recognised(tensors, "a.pth").architecture == name
    found = recognised(converted(tensors), "a.pth")
    assert found.architecture == name
    assert {key: x.shape for key, x in found.tensors.items()} == {
        key: x.shape for key, x in tensors.items()
    }


def test_another_backbone_is_refused() -> None:
    tensors = tensors_of("fbrs-hrnet18")
    first = "feature_extractor.stage2.0.branches.0.0.conv1.weight"
    tensors[first] = torch.empty((48, 48, 3, 3), device="meta")
    with pytest.raises(CheckpointError, match="backbone that is not known"):
        recognised(tensors, "a.pth")


@pytest.mark.parametrize("legacy", [True, False], ids=["legacy", "zip"])
def test_file_in_the_authors_container_loads(tmp_path: Path, legacy: bool) -> None:
    torch.manual_seed(0)
    tensors = {k: x.clone() for k, x in fbrs.network("fbrs-hrnet18").state_dict().items()}
    path = tmp_path / "hrnet18_ocr64_sbd.pth"
    content = OrderedDict(converted(tensors))
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    loaded = checkpoints.load_for("fbrs-hrnet18", path)
    assert loaded.weights == "sbd"
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in tensors.items())
    assert fbrs.segmenter("fbrs-hrnet18", path).version.startswith("fbrs-hrnet18@sbd:")


@pytest.mark.parametrize("gap", ["missing", "unknown", "another shape"])
def test_other_gaps_are_refused(tmp_path: Path, gap: str) -> None:
    tensors = OrderedDict(converted(dict(fbrs.network("fbrs-hrnet18").state_dict())))
    name = "feature_extractor.cls_head.weight"
    if gap == "missing":
        del tensors[name]
    elif gap == "unknown":
        tensors["extra.weight"] = torch.zeros(3)
    else:
        tensors[name] = torch.zeros(2, 128, 1, 1)
    path = tmp_path / "file.pth"
    torch.save(tensors, path)
    with pytest.raises(CheckpointError, match="does not fit it"):
        checkpoints.load(path)
