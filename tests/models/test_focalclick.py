"""FocalClick by name: networks, files and the segmenter made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import models
from models import checkpoints, focalclick
from models.focalclick_config import CONFIGS
from models.prompts import Click, Prompt
from tests.models.focalclick_networks import calibrated
from tests.models.ritm_networks import picture

NAME = "focalclick-segformerb0-s2"
PARAMS = {
    "pipeline_version": "s2",
    "model_version": "b0",
    "use_leaky_relu": True,
    "with_aux_output": True,
}


@pytest.fixture(scope="module")
def authors_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in the container of FocalClick's authors, with weights of no use."""
    entries = {key: {"type": "builtin", "value": value} for key, value in PARAMS.items()}
    config = {"class": "isegm.model.is_segformer_model.SegFormerModel", "params": entries}
    path = tmp_path_factory.mktemp("weights") / "last_checkpoint.pth"
    tensors = calibrated(CONFIGS[NAME]).state_dict()
    torch.save({"state_dict": tensors, "config": config}, path)
    return path


def test_authors_file_and_ours_answer_the_same(authors_file: Path, tmp_path: Path) -> None:
    checkpoint = checkpoints.load(authors_file)
    assert checkpoint.architecture == NAME
    ours = tmp_path / "own.safetensors"
    checkpoints.save(checkpoint, ours)
    image, prompt = picture(), Prompt((Click(60, 40), Click(20, 80, positive=False)))
    results = []
    for path in (authors_file, ours):
        segmenter = models.segmenter(NAME, weights=path, infer_size=128)
        assert segmenter.version.startswith(f"{NAME}@")
        results.append(segmenter.segment(segmenter.prepare(image), prompt))
    assert np.array_equal(results[0].values, results[1].values)
    assert 0 < results[0].mask.mean() < 1


def test_file_of_another_pipeline_is_refused(authors_file: Path) -> None:
    with pytest.raises(checkpoints.CheckpointError, match=f"{NAME}, not of focalclick-segformerb0"):
        focalclick.segmenter("focalclick-segformerb0-s1", authors_file)


def test_file_with_a_tensor_too_few_is_refused(authors_file: Path, tmp_path: Path) -> None:
    content = torch.load(authors_file, weights_only=True)
    del content["state_dict"]["refiner.refine_pred.weight"]
    path = tmp_path / "less.pth"
    torch.save(content, path)
    with pytest.raises(checkpoints.CheckpointError, match="1 tensors missing"):
        checkpoints.load(path)


def test_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="zoom_target"):
        focalclick.segmenter(NAME, zoom_target=400)
