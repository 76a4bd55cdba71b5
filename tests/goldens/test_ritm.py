"""RITM against recorded outputs of the authors' code: the network, and click after click.

Everything is read from case.json, so folders of other sizes, clicks and seeds serve as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from models.clicks_encoding import DistMaps
from models.resampling import resized
from models.ritm import RitmConfig, RitmNetwork, RitmOptions, RitmSegmenter
from models.ritm_config import CLASSES
from tests.goldens.cases import Case, cases, parametrize
from tests.goldens.click_sequences import (
    PROBABILITY,
    assert_sequence,
    options_of,
    recorded_threads,
    sequences,
)

__all__ = ["recorded_threads"]


def is_ritm(document: Mapping[str, Any]) -> bool:
    config = document.get("serialized_config", {})
    return str(config.get("class", "")).rpartition(".")[2] in CLASSES


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    found = cases(metafunc.config, is_ritm)
    if "sequence" in metafunc.fixturenames:
        parametrize(metafunc, "case,sequence", *sequences(found))
    elif "case" in metafunc.fixturenames:
        parametrize(metafunc, "case", found)


@lru_cache(maxsize=8)
def loaded(folder: Path) -> RitmNetwork:
    case = Case(folder)
    tensors = case.state_dict()
    network = RitmNetwork(RitmConfig.from_serialized(case.document["serialized_config"], tensors))
    network.load_state_dict(tensors, strict=True)
    return network.eval()


def forward(network: RitmNetwork, arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[Tensor, Tensor]:
    """Logits and auxiliary logits of the recorded input, [H, W] each, of the picture's size."""
    image = torch.from_numpy(arrays["image"]).permute(2, 0, 1)[None].float() / 255
    given = arrays["prev_mask"]
    previous = torch.from_numpy(given)[None, None] if given.size else None
    with torch.inference_mode():
        points = torch.from_numpy(arrays["points"])
        features = network.features(*network.fuse(image, points, previous))
        logits, aux = network.classify(features)
        whole = network(image, points, previous)
    assert torch.equal(whole.instances, resized(logits, image.shape[-2:]))
    if aux is None:
        return whole.instances[0, 0], torch.zeros(0)
    if whole.aux is not None:
        aux = whole.aux
    return whole.instances[0, 0], aux[0, 0]


def assert_close(actual: Tensor, recorded: npt.NDArray[Any], drift: float) -> None:
    """Equal up to ten times what the original differs from itself, and so for probabilities."""
    wanted = torch.from_numpy(recorded)
    assert actual.shape == wanted.shape
    largest = float(wanted.abs().max())
    assert float((actual - wanted).abs().max()) <= max(10 * drift, 1e-5 * largest)
    assert float((actual.sigmoid() - wanted.sigmoid()).abs().max()) <= PROBABILITY


def test_tensors_are_the_authors(case: Case) -> None:
    tensors = loaded(case.folder).state_dict()
    assert len(tensors) == case.document["tensors"]
    assert sum(tensor.numel() for tensor in tensors.values()) == case.document["parameters"]


def test_forward(case: Case) -> None:
    arrays = case.arrays("forward.npz")
    observed = case.document["files"]["forward.npz"].get("observed_diff", {})
    drift = {name: entry["threads_2_vs_1"] for name, entry in observed.items()}
    logits, aux = forward(loaded(case.folder), arrays)
    assert_close(logits, arrays["logits"], drift.get("instances", 0))
    if "logits_aux" in arrays:
        assert_close(aux, arrays["logits_aux"], drift.get("instances_aux", 0))


def test_forward_with_plain_golden_weights(case: Case) -> None:
    arrays = case.arrays("forward.npz")
    network = RitmNetwork(loaded(case.folder).config).eval()
    network.load_state_dict(case.state_dict(overrides=False), strict=True)
    logits, _ = forward(network, arrays)
    wanted = torch.from_numpy(arrays["plain_logits"])
    assert float((logits - wanted).abs().max()) <= 1e-4 * float(wanted.abs().max())


@pytest.mark.parametrize("disks", [True, False], ids=["disks", "tanh"])
@pytest.mark.parametrize("whole_pixels", [False, True], ids=["exact", "whole_pixels"])
def test_click_encoding(case: Case, disks: bool, whole_pixels: bool) -> None:
    arrays = case.arrays("distmaps.npz")
    source = "cython" if whole_pixels else "torch"
    kind = "disks_r" if disks else "tanh_r"
    name = next(name for name in arrays if name.startswith(f"{source}_{kind}"))
    wanted = arrays[name]
    encoder = DistMaps(float(name.rpartition("_r")[2]), disks=disks, whole_pixels=whole_pixels)
    points = torch.from_numpy(arrays["points"])
    maps = encoder(points, (wanted.shape[1], wanted.shape[2]))[0].numpy()
    # The original's own search for the nearest click is off by up to 1.6e-3 at a few pixels.
    tolerance = 0 if disks else 2e-3 if whole_pixels else 1e-6
    assert np.abs(maps - wanted).max() <= tolerance


def test_click_sequence(case: Case, sequence: str) -> None:
    options = options_of(case.document["files"][sequence], RitmOptions)
    segmenter = RitmSegmenter(loaded(case.folder), f"{case.name}@golden:0", "cpu", options)
    assert_sequence(case, sequence, segmenter)
