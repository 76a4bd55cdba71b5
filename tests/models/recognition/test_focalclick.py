"""FocalClick's files, told from RITM's and ClickAttention's by class and tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.recognition import CheckpointError, OpenedFile, focalclick, recognised

REFINER = "refiner.refine_pred.bias"


def opened(name: str, *tensors: str, **params: Any) -> OpenedFile:
    entries = {key: {"type": "builtin", "value": value} for key, value in params.items()}
    config = {"class": f"isegm.model.module.{name}", "params": entries}
    return OpenedFile("last_checkpoint.pth", {key: torch.zeros(1) for key in tensors}, config)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (opened("SegFormerModel", REFINER, pipeline_version="s1"), "focalclick-segformerb0-s1"),
        (opened("SegFormerModel", "x", model_version="b3"), "focalclick-segformerb3-s2"),
        (
            opened("HRNetModel", REFINER, width=18, ocr_width=48, small=True),
            "focalclick-hrnet18s-s2",
        ),
        (
            opened(
                "HRNetModel", REFINER, width=18, ocr_width=48, small=True, pipeline_version="s1"
            ),
            "focalclick-hrnet18s-s1",
        ),
        (opened("HRNetModel", REFINER, width=32, ocr_width=128), "focalclick-hrnet32-s2"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_networks_are_told_by_their_configuration(file: OpenedFile, name: str) -> None:
    found = focalclick.recognise(file)
    assert found is not None
    assert (found.architecture, found.tensors, found.config) == (name, file.tensors, file.config)


@pytest.mark.parametrize(
    "file",
    [
        opened("HRNetModel", "feature_extractor.conv1.weight", width=18),
        opened("SegFormerModel", "feature_extractor.backbone.attn_weight2.mlp_x.fc1.weight"),
        opened("SegFormerModelNoRefine", "x"),
        OpenedFile("last_checkpoint.pth", {REFINER: torch.zeros(1)}),
    ],
    ids=["RITM", "weighted attention", "ClickAttention", "without configuration"],
)
def test_other_systems_files_are_left_to_them(file: OpenedFile) -> None:
    assert focalclick.recognise(file) is None


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (opened("SegFormerModel", REFINER, model_version="b5"), "FocalClick has b0 and b3"),
        (opened("HRNetModel", REFINER, width=48, ocr_width=256), "HRNet-48 OCR-256 s2; known are"),
        (opened("SegFormerModel", REFINER, colour="red"), "'colour' = 'red' is not known"),
    ],
    ids=["another backbone", "another width", "unknown parameter"],
)
def test_other_networks_of_the_repository_are_refused(file: OpenedFile, sentence: str) -> None:
    with pytest.raises(CheckpointError, match=f"last_checkpoint.pth.*{sentence}"):
        focalclick.recognise(file)


def test_table_asks_focalclick() -> None:
    file = opened("HRNetModel", REFINER, width=32, ocr_width=128)
    content = {"state_dict": dict(file.tensors), "config": file.config}
    assert recognised(content, file.name).architecture == "focalclick-hrnet32-s2"
