"""TransT against recorded outputs of the authors' code: modules, network, tracker.

Everything is read from case.json and the arrays, so folders of other sizes, boxes and seeds serve
as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from models import checkpoints
from models.tracker import Step, TrackState, restored, stored
from models.tracking_boxes import window
from models.transt import FAITHFUL, TransTNetwork, TransTOptions, TransTTracker, network_of
from models.transt_fusion import Grid, Pair, sine_positions
from models.transt_network import Found, layers_of
from models.transt_tracker import hann_window, kept_inside, penalised, target_scores
from tests.goldens.cases import Arrays, Case, cases, parametrize

RUNS = {"": "rgb", "_border": "rgb", "_bgr_input": "bgr"}
"""The recorded tracks and the order of channels of each."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    found = cases(metafunc.config, lambda document: document.get("system") == "TransT")
    if "run" in metafunc.fixturenames:
        pairs = [
            (case, run)
            for case in found
            for run in RUNS
            if case.has("track.npz") and f"boxes_xywh{run}" in case.arrays("track.npz")
        ]
        ids = [f"{case.name}{run}" for case, run in pairs]
        parametrize(metafunc, "case,run", pairs, ids)
    elif "case" in metafunc.fixturenames:
        parametrize(metafunc, "case", found)


@lru_cache(maxsize=2)
def loaded(folder: Path) -> TransTNetwork:
    tensors = Case(folder).state_dict()
    network = TransTNetwork(layers_of(list(tensors)))
    network.load_state_dict(tensors, strict=True)
    return network.eval()


def tracker(case: Case, options: TransTOptions = FAITHFUL) -> TransTTracker:
    return TransTTracker(loaded(case.folder), "golden@0:0", "cpu", options)


def tolerance(case: Case, name: str) -> float:
    return float(case.document["tolerance"][name])


def difference(actual: Tensor, recorded: npt.NDArray[np.float32]) -> float:
    assert actual.shape == recorded.shape
    return float(np.abs(actual.numpy() - recorded).max())


def test_tensors_are_the_authors(case: Case) -> None:
    manifest = json.loads((case.folder / "manifest.json").read_text())
    tensors = loaded(case.folder).state_dict()
    assert manifest == {
        name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
        for name, tensor in tensors.items()
    }


@torch.inference_mode()
@pytest.mark.parametrize("options", [FAITHFUL, TransTOptions()], ids=["faithful", "fast"])
def test_forward(case: Case, options: TransTOptions) -> None:
    arrays = case.arrays("forward.npz")
    network = tracker(case, options)._network
    template, search = (torch.from_numpy(arrays[name]) for name in ("template", "search"))
    found = network(template, search)
    assert difference(found.logits, arrays["pred_logits"]) <= tolerance(case, "logits_abs")
    assert difference(found.boxes, arrays["pred_boxes"]) <= tolerance(case, "boxes_abs")


@torch.inference_mode()
def test_features(case: Case) -> None:
    network, allowed = loaded(case.folder), tolerance(case, "modules_abs")
    inputs, arrays = case.arrays("forward.npz"), case.arrays("forward_features.npz")
    features = {}
    for name in ("template", "search"):
        found = network.backbone(torch.from_numpy(inputs[name]))
        (key,) = (key for key in arrays if key.startswith(f"{name}_layer3"))
        told = re.fullmatch(r"\w+_c(\d+)_(\d+)(?:_stride(\d+))?", key)
        assert told
        step = int(told[3] or 1)
        seen = found[0, int(told[1]) : int(told[2]), ::step, ::step]
        assert difference(seen, arrays[key]) <= allowed
        features[name] = network.input_proj(found)
    fusion = network.featurefusion_network
    grids = [Grid(sine_positions(*features[name].shape[-2:])) for name in ("template", "search")]
    tokens = Pair(*(features[name].flatten(2).mT for name in ("template", "search")))
    encoded = fusion.encoder(tokens, *grids)
    decoded = fusion.decoder(encoded, *grids)
    layers = network.layers
    for name, found in (
        (f"encoder_l{layers}_template", encoded.template),
        (f"encoder_l{layers}_search", encoded.search),
        ("hs", decoded),
    ):
        (key,) = (key for key in arrays if key.startswith(f"{name}_c"))
        first, last = (int(number) for number in key.rsplit("_c", 1)[1].split("_"))
        assert difference(found[0, :, first:last], arrays[key]) <= allowed


def batched(tokens: npt.NDArray[np.float32]) -> Tensor:
    """[N, B, 256] of the authors as [B, N, 256]."""
    return torch.from_numpy(tokens).transpose(0, 1)


def positions(arrays: Arrays, name: str) -> Tensor:
    return torch.from_numpy(arrays[name]).flatten(2).mT


@torch.inference_mode()
def test_modules(case: Case) -> None:
    arrays, allowed = case.arrays("modules.npz"), tolerance(case, "modules_abs")
    fusion = loaded(case.folder).featurefusion_network
    layer = fusion.encoder.layers[0]
    tokens = Pair(batched(arrays["template_tokens"]), batched(arrays["search_tokens"]))
    template = Grid(positions(arrays, "pos_template"))
    search = Grid(positions(arrays, "pos_search"))
    mask = torch.from_numpy(arrays["search_mask"]).flatten(1)
    masked = Grid(positions(arrays, "pos_search_masked"), mask)
    found = {
        ("eca", ""): layer.ego(tokens, template, search),
        ("fusion_layer0", ""): layer(tokens, template, search),
        ("fusion_layer0", "_masked"): layer(tokens, template, masked),
    }
    for (name, suffix), pair in found.items():
        for branch, values in pair._asdict().items():
            recorded = arrays[f"{name}_{branch}{suffix}"]
            assert difference(values.transpose(0, 1), recorded) <= allowed, (name, suffix)
    decoded = fusion.decoder.layers[0](tokens, template, search)
    assert difference(decoded.transpose(0, 1), arrays["cfa_decoder"]) <= allowed
    normed = fusion.decoder(tokens, template, search)
    assert difference(normed.transpose(0, 1), arrays["cfa_decoder_normed"]) <= allowed


def test_positions(case: Case) -> None:
    arrays, allowed = case.arrays("modules.npz"), tolerance(case, "modules_abs")
    for branch in ("template", "search"):
        size = arrays[f"{branch}_hw"].tolist()
        recorded = positions(arrays, f"pos_{branch}").numpy()
        assert difference(sine_positions(*size), recorded) <= allowed
    mask = torch.from_numpy(arrays["search_mask"])
    found = sine_positions(mask.shape[1], mask.shape[2], mask)
    assert difference(found, positions(arrays, "pos_search_masked").numpy()) <= allowed
    for name, recorded in arrays.items():
        told = re.fullmatch(r"pos_(\d+)x(\d+)_c_every(\d+)", name)
        if told:
            height, width, step = (int(number) for number in told.groups())
            found = sine_positions(height, width)[..., ::step].mT.unflatten(2, (height, width))
            assert difference(found, recorded) <= allowed


@torch.inference_mode()
def test_heads(case: Case) -> None:
    arrays = case.arrays("modules.npz")
    found = loaded(case.folder).heads(torch.from_numpy(arrays["head_in"]))
    assert difference(found.logits, arrays["head_logits"]) <= tolerance(case, "modules_abs")
    assert difference(found.boxes, arrays["head_boxes"]) <= tolerance(case, "modules_abs")


def test_crops(case: Case) -> None:
    arrays = case.arrays("tracker_parts.npz")
    image, colour = arrays["image"], arrays["channel_average"]
    assert np.allclose(image.mean(axis=(0, 1)), colour, rtol=0, atol=1e-9)
    for (x, y, pixels, side), recorded in zip(arrays["crop_cases"], arrays["crops"], strict=True):
        cut = window(image, (x, y), int(side), int(pixels), colour).transpose(2, 0, 1)
        allowed = 0 if side == pixels else 1
        assert cut.shape == recorded.shape
        assert np.abs(cut.astype(int) - recorded).max() <= allowed


def test_clipping(case: Case) -> None:
    arrays = case.arrays("tracker_parts.npz")
    frame = tuple(arrays["clip_boundary_hw"].tolist())
    for before, after in zip(arrays["clip_in"], arrays["clip_out"], strict=True):
        x, y, width, height = before.tolist()
        centre, size = kept_inside((x, y), (width, height), frame, FAITHFUL.least_side)
        assert np.allclose([*centre, *size], after, rtol=0, atol=1e-9)


def test_choice(case: Case) -> None:
    arrays = case.arrays("tracker_parts.npz")
    scores = target_scores(torch.from_numpy(arrays["logits"])[0])
    assert difference(scores, arrays["score"]) <= 1e-6
    grid = hann_window(round(len(scores) ** 0.5))
    assert difference(grid, arrays["window"]) <= 1e-12
    found = penalised(scores, grid, FAITHFUL.window)
    assert difference(found, arrays["penalised"]) <= 1e-6
    assert int(found.argmax()) == arrays["best_index"].item()
    assert np.array_equal(arrays["boxes"][0].T, arrays["boxes_converted"])


class Observed(TransTTracker):
    """The tracker, which notes the scores that it chose by."""

    def __init__(self, network: TransTNetwork, version: str, options: TransTOptions) -> None:
        super().__init__(network, version, "cpu", options)
        self.scores: list[Tensor] = []

    def _chosen(self, found: Found, step: Step, *rest: object) -> object:  # type: ignore[override]
        scores = target_scores(found.logits)
        self.scores.append(penalised(scores, self._window, self.options.window))
        return super()._chosen(found, step, *rest)


def followed(
    tracker: TransTTracker, frames: npt.NDArray[np.uint8], box: list[float]
) -> Iterator[tuple[float, ...]]:
    """The recorded track's boxes (x, y, width, height), the first that of the start."""
    x, y, width, height = box
    state: TrackState = tracker.start(frames[0], (x, y, x + width, y + height))
    yield x, y, width, height
    for frame in frames[1:]:
        found = tracker.track(frame, restored(stored(state)))
        left, top, right, bottom = found.box
        yield left, top, right - left, bottom - top
        state = found.state


@pytest.mark.parametrize("options", [FAITHFUL, TransTOptions()], ids=["faithful", "fast"])
def test_track(case: Case, run: str, options: TransTOptions) -> None:
    arrays = case.arrays("track.npz")
    observed = Observed(loaded(case.folder), "golden@0:0", replace(options, channels=RUNS[run]))
    box = arrays.get(f"init_box{run}", arrays["init_box"]).tolist()
    found = np.array(list(followed(observed, arrays["frames"], box)))
    recorded = arrays[f"boxes_xywh{run}"]
    assert np.abs(found - recorded).max() <= tolerance(case, "track_px")
    best = [int(scores.argmax()) for scores in observed.scores]
    assert best == arrays[f"best_index{run}"].tolist()
    penalties = arrays.get(f"penalised_scores{run}")
    if penalties is not None:
        allowed = tolerance(case, "logits_abs")
        assert difference(torch.stack(observed.scores), penalties) <= allowed


def test_authors_container_loads_and_tracks_the_same(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "transt.pth"
    content = {"epoch": 1, "actor_type": "TranstActor", "net_type": "TransT"}
    torch.save({**content, "net": case.state_dict(), "constructor": None}, path)
    checkpoint = checkpoints.load(path)
    assert checkpoint.architecture == "transt"
    network = network_of(checkpoint.architecture, checkpoint.config)
    network.load_state_dict(dict(checkpoint.tensors), strict=True)
    arrays = case.arrays("forward.npz")
    with torch.inference_mode():
        found = network.eval()(*(torch.from_numpy(arrays[key]) for key in ("template", "search")))
    assert difference(found.logits, arrays["pred_logits"]) <= tolerance(case, "logits_abs")
