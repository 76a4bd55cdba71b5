"""f-BRS against recorded outputs of the authors' code: network, refinement, click after click."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from models import checkpoints
from models.brs import Limits, Objective
from models.brs_correction import Shown, correction
from models.brs_loss import click_masks
from models.clicks_encoding import DistMaps, mirrored, points_tensor
from models.fbrs import CONFIGS, FbrsNetwork, FbrsOptions, segmenter
from models.resampling import resized
from models.ritm_predictor import RitmSegmenter
from tests.goldens.cases import Case, cases, parametrize
from tests.goldens.click_sequences import (
    PROBABILITY,
    assert_sequence,
    options_of,
    recorded_threads,
    sequences,
)

__all__ = ["recorded_threads"]

NEVER = Limits(threshold=-1, iou_change=0.01, evaluations=20)
"""With this threshold no answer is good enough, so that there is always a gradient."""


def is_fbrs(document: Mapping[str, Any]) -> bool:
    return "original_factory" in document and "factory_kwargs" in document


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    found = cases(metafunc.config, is_fbrs)
    if "sequence" in metafunc.fixturenames:
        parametrize(metafunc, "case,sequence", *sequences(found))
    elif "mode" in metafunc.fixturenames:
        pairs = [(case, mode) for case in found for mode in functor(case).get("modes", {})]
        ids = [f"{case.name}-{mode}" for case, mode in pairs]
        parametrize(metafunc, "case,mode", pairs, ids)
    elif "case" in metafunc.fixturenames:
        parametrize(metafunc, "case", found)


def functor(case: Case) -> Mapping[str, Any]:
    entry: Mapping[str, Any] = case.document["files"].get("functor.npz", {})
    return entry


def name_of(case: Case) -> str:
    """The architecture whose parameters a case was built with."""
    kwargs = case.document["factory_kwargs"]
    return next(
        name
        for name, config in CONFIGS.items()
        if all(getattr(config, key) == value for key, value in kwargs.items())
        and (config.kind == "hrnet") == ("width" in kwargs)
    )


@lru_cache(maxsize=2)
def loaded(folder: Path) -> FbrsNetwork:
    case = Case(folder)
    radius = case.document["norm_radius"]
    network = FbrsNetwork(replace(CONFIGS[name_of(case)], norm_radius=radius))
    network.load_state_dict(case.state_dict(), strict=True)
    return network.eval().requires_grad_(False)


def forward(network: FbrsNetwork, arrays: Mapping[str, npt.NDArray[Any]]) -> Tensor:
    image = torch.from_numpy(arrays["image"]).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        return network(image, torch.from_numpy(arrays["points"])).instances[0, 0]


def test_tensors_are_the_authors(case: Case) -> None:
    tensors = loaded(case.folder).state_dict()
    assert len(tensors) == case.document["tensors"]
    assert sum(tensor.numel() for tensor in tensors.values()) == case.document["parameters"]


def test_forward(case: Case) -> None:
    arrays = case.arrays("forward.npz")
    logits = forward(loaded(case.folder), arrays)
    wanted = torch.from_numpy(arrays["logits"])
    drift = case.document["files"]["forward.npz"].get("observed_diff", {}).get("threads_2_vs_1", 0)
    largest = float(wanted.abs().max())
    assert float((logits - wanted).abs().max()) <= max(10 * drift, 1e-5 * largest)
    assert float((logits.sigmoid() - wanted.sigmoid()).abs().max()) <= PROBABILITY


def test_forward_with_plain_golden_weights(case: Case) -> None:
    arrays = case.arrays("forward.npz")
    network = FbrsNetwork(loaded(case.folder).config).eval()
    network.load_state_dict(case.state_dict(overrides=False), strict=True)
    wanted = torch.from_numpy(arrays["plain_logits"])
    difference = float((forward(network, arrays) - wanted).abs().max())
    assert difference <= 1e-4 * float(wanted.abs().max())


def test_click_encoding(case: Case) -> None:
    arrays = case.arrays("distmaps.npz")
    radius = case.document["norm_radius"]
    name = next(name for name in arrays if name.startswith("torch_tanh"))
    points = torch.from_numpy(arrays["points"])
    size = (arrays[name].shape[1], arrays[name].shape[2])
    maps = DistMaps(radius, disks=False)(points, size)[0].numpy()
    np.testing.assert_allclose(maps, arrays[name], rtol=0, atol=1e-6)


def told(case: Case, pattern: str) -> list[str]:
    """The numbers that the description of functor.npz gives."""
    found = re.search(pattern, functor(case)["what"])
    assert found is not None, f"{case.name}: functor.npz is not described by {pattern!r}"
    return list(found.groups())


def functor_input(case: Case) -> tuple[Shown, list[list[tuple[float, float, bool]]]]:
    """What the objective was recorded on: a small picture and its mirror image, with clicks."""
    height, width = (int(text) for text in told(case, r"resized to (\d+)x(\d+)"))
    count, scale = told(case, r"first (\d+) clicks scaled by ([\d.]+)")
    files = case.document["files"].values()
    rows = next(f["clicks_row_col_positive"] for f in files if "clicks_row_col_positive" in f)
    clicks = [
        (int(row * float(scale)), int(column * float(scale)), bool(positive))
        for row, column, positive in rows[: int(count)]
    ]
    lists = [clicks, list(mirrored(clicks, width))]
    image = torch.from_numpy(case.arrays("image.npz")["image"]).permute(2, 0, 1)[None].float() / 255
    image = resized(loaded(case.folder).normalised(image), (height, width))
    both = torch.cat([image, image.flip(3)])
    return Shown(both, points_tensor(lists), None, mirrored=True, size=(height, width)), lists


def test_objective_and_gradient(case: Case, mode: Any) -> None:
    entry, arrays = functor(case)["modes"][mode], case.arrays("functor.npz")
    shown, lists = functor_input(case)
    corrected = correction(loaded(case.folder), mode, shown)
    masks = click_masks(lists, shown.size, wrapping=True)
    (seed,) = told(case, r"PCG64\((\d+)\)")
    (listed,) = told(case, r"for s = ([\d., ]+\d)")
    assert corrected.length == entry["n"]
    generator = np.random.Generator(np.random.PCG64(int(seed)))
    for index, bound in enumerate(float(text) for text in listed.split(",")):
        x = generator.uniform(-bound, bound, entry["n"])
        loss, gradient = Objective(corrected, masks, NEVER)(x)
        assert loss == pytest.approx(entry["loss"][index], rel=2e-4)
        assert np.linalg.norm(gradient) == pytest.approx(entry["grad_norm"][index], rel=5e-3)
        wanted = arrays[f"{mode}_{index}_grad"]
        off = np.linalg.norm(gradient[:: entry["grad_stride"]] - wanted)
        assert off <= 2e-2 * np.linalg.norm(wanted)


def test_click_sequence(case: Case, sequence: str) -> None:
    options = options_of(case.document["files"][sequence], FbrsOptions)
    own = RitmSegmenter(loaded(case.folder), f"{case.name}@golden:0", "cpu", options)
    assert_sequence(case, sequence, own)


def test_file_in_the_authors_container_loads_and_reproduces(case: Case, tmp_path: Path) -> None:
    """The oldest form of PyTorch's files, as converted: without counters, with a leftover."""
    tensors = OrderedDict(
        (name, tensor)
        for name, tensor in case.state_dict().items()
        if not name.endswith("num_batches_tracked")
    )
    tensors["aspp_dropout"] = torch.tensor(0.2)
    path = tmp_path / "weights.pth"
    torch.save(tensors, path, _use_new_zipfile_serialization=False)
    assert checkpoints.load(path).architecture == name_of(case)
    entry = case.document["files"]["seq_nobrs.npz"]
    options = options_of(entry, FbrsOptions)
    chosen = {field.name: getattr(options, field.name) for field in fields(FbrsOptions)}
    own = segmenter(name_of(case), path, **chosen)
    assert_sequence(case, "seq_nobrs.npz", own)
