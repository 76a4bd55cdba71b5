"""RITM against recorded outputs of the authors' code: the network, and click after click.

Everything is read from case.json, so folders of other sizes, clicks and seeds serve as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from models.clicks_encoding import DistMaps
from models.prompts import Click, Prompt
from models.resampling import resized
from models.ritm import RitmConfig, RitmNetwork, RitmOptions, RitmSegmenter
from models.ritm_config import CLASSES
from models.segmenter import Prepared, Result
from models.state import State
from tests.goldens.cases import Case, cases, parametrize

PROBABILITY = 1e-3
MASK_IOU = 0.999

PREDICTOR = {"prob_thresh": "threshold", "with_flip": "flip"}
ZOOM = {
    "target_size": "zoom_target",
    "skip_clicks": "skip_clicks",
    "expansion_ratio": "expansion_ratio",
    "min_crop_size": "min_crop_size",
    "recompute_thresh_iou": "recompute_iou",
    "prob_thresh": "zoom_threshold",
}
LIMITS = {"net_clicks_limit": "net_clicks_limit", "max_size": "max_size"}


def is_ritm(document: Mapping[str, Any]) -> bool:
    config = document.get("serialized_config", {})
    return str(config.get("class", "")).rpartition(".")[2] in CLASSES


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    found = cases(metafunc.config, is_ritm)
    if "sequence" in metafunc.fixturenames:
        pairs = [
            (case, file)
            for case in found
            for file, entry in case.document["files"].items()
            if "clicks_row_col_positive" in entry
        ]
        ids = [f"{case.name}-{file.removesuffix('.npz')}" for case, file in pairs]
        parametrize(metafunc, "case,sequence", pairs, ids)
    elif "case" in metafunc.fixturenames:
        parametrize(metafunc, "case", found)


@pytest.fixture(autouse=True, scope="module")
def recorded_threads() -> Iterator[None]:
    """As many threads as the outputs were recorded with.

    Another number adds up in another order, and these networks, whose weights were never trained,
    make of the last digit a thousandth within five clicks.
    """
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(usual)


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


def options_of(entry: Mapping[str, Any]) -> RitmOptions:
    """The options that reproduce a recorded call of the original's get_predictor."""
    kwargs = dict(entry["get_predictor_kwargs"])
    zoom = kwargs.pop("zoom_in_params", {})
    limits = kwargs.pop("predictor_params", None) or {}
    chosen: dict[str, Any] = {"threshold": 0.49, "zoom_in": zoom is not None}
    for names, given in ((PREDICTOR, kwargs), (ZOOM, zoom or {}), (LIMITS, limits)):
        chosen.update({names[name]: value for name, value in given.items()})
    return RitmOptions(
        first_click_side=None,
        fast_arithmetic=False,
        full_size_state=True,
        keep_stale_roi=True,
        one_shot=bool(entry.get("oneshot")),
        cpu_maps=bool(entry.get("cpu_dist_maps")),
        cpu_maps_overrun=bool(entry.get("cpu_dist_maps")),
        mask_every_click=entry.get("prev_mask") is not None,
        **chosen,
    )


def steps_of(entry: Mapping[str, Any], mask: npt.NDArray[np.bool_] | None) -> list[Prompt]:
    """One prompt per recorded answer."""
    rows = entry["clicks_row_col_positive"]
    clicks = tuple(Click(column, row, bool(positive)) for row, column, positive in rows)
    return [Prompt(clicks[: call["click"] + 1], mask=mask) for call in entry["per_click"]]


@contextmanager
def recorded_points() -> Iterator[list[npt.NDArray[np.float32]]]:
    """Every points tensor that a click encoder is given."""
    seen: list[npt.NDArray[np.float32]] = []

    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(module, DistMaps):
            seen.append(inputs[0].numpy().copy())

    handle = register_module_forward_pre_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()


def answer(
    segmenter: RitmSegmenter, prepared: Prepared, prompt: Prompt, state: State | None
) -> tuple[Result, list[npt.NDArray[np.float32]]]:
    with recorded_points() as points:
        result = segmenter.segment(prepared, prompt, state)
    return result, points


def assert_same_clicks(actual: npt.ArrayLike, wanted: npt.ArrayLike) -> None:
    """Equal points tensors [B, 2P, 3], however many rows of padding they have."""
    for seen, recorded in zip(clicks_in(actual), clicks_in(wanted), strict=True):
        np.testing.assert_allclose(seen, recorded, rtol=0, atol=1e-3)


def clicks_in(points: npt.ArrayLike) -> list[npt.NDArray[np.float32]]:
    """The rows of each sign in each list that are clicks."""
    lists = np.asarray(points, np.float32)
    halves = lists.reshape(2 * len(lists), -1, 3)
    return [half[half[:, :2].max(axis=1) >= 0] for half in halves]


def mask_iou(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def test_click_sequence(case: Case, sequence: str) -> None:
    entry = case.document["files"][sequence]
    if entry["mode"] != "NoBRS":
        pytest.skip(f"{entry['mode']}: backpropagating refinement is not offered")
    scene, recorded = case.arrays("image.npz"), case.arrays(sequence)
    segmenter = RitmSegmenter(
        loaded(case.folder), f"{case.name}@golden:0", "cpu", options_of(entry)
    )
    prepared = segmenter.prepare(scene["image"])
    mask = scene["gt"] > 0 if segmenter.options.mask_every_click else None
    count, height, width = recorded["shape"]
    stride = round(height / recorded["prob"].shape[1])
    state: State | None = None
    prompts = steps_of(entry, mask)
    assert len(prompts) == count
    for index, (prompt, call) in enumerate(zip(prompts, entry["per_click"], strict=True)):
        result, points = answer(segmenter, prepared, prompt, state)
        state = result.state
        assert state is not None
        assert state.values["roi"] == call["roi"]
        assert len(points) == call["net_calls"]
        for seen, wanted in zip(points, call["points"], strict=True):
            assert_same_clicks(seen, wanted)
        difference = np.abs(result.probability[::stride, ::stride] - recorded["prob"][index])
        assert difference.max() <= PROBABILITY, f"click {index}"
        wanted_mask = np.unpackbits(recorded["mask049"][index], axis=1, count=width).astype(bool)
        assert wanted_mask.shape == (height, width)
        assert mask_iou(result.probability > 0.49, wanted_mask) >= MASK_IOU, f"click {index}"
