"""FocalClick against recorded outputs of the authors' code: network, crops, click after click.

Everything is read from case.json, so folders of other sizes, clicks and seeds serve as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from models import checkpoints
from models.focalclick import (
    CONFIGS,
    FAITHFUL,
    FocalClickConfig,
    FocalClickNetwork,
    FocalClickOptions,
    FocalClickSegmenter,
    Focus,
    network_of,
)
from models.focalclick_config import CLASSES
from models.focalclick_crops import focus_region, progressive_merge, target_region
from models.focalclick_memory import Memory
from models.focalclick_network import Outputs, for_inference
from models.focalclick_refiner import Refined
from models.prompts import Click, Prompt
from models.recognition import recognised
from models.resampling import resized
from models.segmenter import replay
from models.zoom import Roi, Size, mask_roi, whole
from tests.goldens.cases import Case, Document, cases, golden_folder, parametrize
from tests.models.focalclick_networks import focus_crops, in_picture

RUNS = ("c_predictor.npz", "d_initmask.npz", "e_long.npz")

Masks = npt.NDArray[np.bool_]


def is_focalclick(document: Document) -> bool:
    """By the configuration of the checkpoint; RITM and ClickAttention share its parts."""
    config = document.get("checkpoint_config", {})
    known = str(config.get("class", "")).rpartition(".")[2] in CLASSES
    return known and "pipeline_version" in config["params"]


def is_crops(document: Document) -> bool:
    return {"table_columns", "focus", "target", "merged"} <= document.keys()


@dataclass(frozen=True)
class Listing:
    """Names and shapes of a network without recorded outputs."""

    name: str
    document: Document

    @property
    def config(self) -> dict[str, Any]:
        """As a checkpoint spells it."""
        entries = self.document["params"].items()
        params = {name: {"type": "builtin", "value": value} for name, value in entries}
        return {"class": self.document["class"], "params": params}


def listings(folder: Path) -> list[Listing]:
    documents = [(path, json.loads(path.read_text())) for path in folder.glob("manifests/*.json")]
    return [
        Listing(path.stem, document)
        for path, document in sorted(documents)
        if str(document.get("class", "")).rpartition(".")[2] in CLASSES
        and "pipeline_version" in document.get("params", {})
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    found = cases(metafunc.config, is_focalclick)
    if "run" in metafunc.fixturenames:
        pairs = [(case, run) for case in found for run in RUNS if case.has(run)]
        ids = [f"{case.name}-{run.removesuffix('.npz')}" for case, run in pairs]
        parametrize(metafunc, "case,run", pairs, ids)
    elif "container" in metafunc.fixturenames:
        parametrize(metafunc, "container", [case for case in found if case.has("config_only.pth")])
    elif "crops" in metafunc.fixturenames:
        parametrize(metafunc, "crops", cases(metafunc.config, is_crops))
    elif "listing" in metafunc.fixturenames:
        parametrize(metafunc, "listing", listings(golden_folder(metafunc.config)))
    elif "case" in metafunc.fixturenames:
        parametrize(metafunc, "case", found)


@lru_cache(maxsize=8)
def loaded(folder: Path) -> FocalClickNetwork:
    case = Case(folder)
    config = FocalClickConfig.from_serialized(case.document["checkpoint_config"])
    network = FocalClickNetwork(config)
    network.load_state_dict(case.state_dict(), strict=True)
    return network.eval()


def listed(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Any]]:
    """The manifest of a state dict."""
    return {
        name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
        for name, tensor in tensors.items()
    }


def test_tensors_are_the_authors(case: Case) -> None:
    manifest = json.loads((case.folder / "manifest.json").read_text())
    assert listed(loaded(case.folder).state_dict()) == manifest


def test_tensors_of_networks_without_outputs(listing: Listing) -> None:
    with torch.device("meta"):
        network = network_of("", listing.config)
    assert network.config in CONFIGS.values()
    assert listed(network.state_dict()) == listing.document["tensors"]


@dataclass(frozen=True)
class Tolerance:
    """What case.json suggests: of logits absolute and relative, and of probabilities."""

    absolute: float = 1e-3
    relative: float = 0.0
    probability: float = 1e-3
    pixels: float = 0.0005

    @classmethod
    def of(cls, document: Document) -> Tolerance:
        text = document.get("suggested_tolerance", "")
        number = r"([\d.]+(?:e-?\d+)?)"
        logits = re.search(rf"logits: atol {number} \+ rtol {number}", text)
        later = re.search(rf"probabilities atol {number}.*at most {number} %", text)
        told = cls()
        if logits:
            told = replace(told, absolute=float(logits[1]), relative=float(logits[2]))
        if later:
            told = replace(told, probability=float(later[1]), pixels=float(later[2]) / 100)
        return told


def numbers(pattern: str, text: str) -> list[int]:
    """The whole numbers in the groups of a pattern that occurs in a description."""
    found = re.search(pattern, text)
    assert found, f"case.json says nothing like {pattern!r}"
    return [int(group) for group in found.groups()]


@torch.inference_mode()
def forward(case: Case, network: FocalClickNetwork) -> tuple[Outputs, Refined]:
    """The coarse network on the recorded input, and the refiner on the recorded crop of it."""
    first, second = case.arrays("a_forward.npz"), case.arrays("a_refine.npz")
    image = torch.from_numpy(first["image"]).permute(2, 0, 1)[None].float() / 255
    previous = torch.from_numpy(first["prev_mask_u8"])[None, None].float() / 255
    outputs = network(image, torch.from_numpy(first["points"]), previous)
    top, bottom, left, right, height, width = numbers(
        r"rows (\d+):(\d+), cols (\d+):(\d+) to (\d+)x(\d+)", case.document["level_a"]
    )
    crop = resized(image[:, :, top:bottom, left:right], (height, width))
    regions = torch.from_numpy(second["refine_roi"])
    assert regions[:, 0].tolist() == list(range(len(regions)))
    points = torch.from_numpy(second["refine_points"])
    return outputs, network.refine(outputs, Focus(crop, points, regions[:, 1:]))


def assert_close(
    actual: Tensor, recorded: npt.NDArray[np.float32], tolerance: Tolerance, factor: float = 1
) -> None:
    """Equal at the recorded stride."""
    stride = round(actual.shape[-1] / recorded.shape[-1])
    difference = np.abs(actual[:, :, ::stride, ::stride].numpy() - recorded)
    allowed = tolerance.absolute + tolerance.relative * np.abs(recorded)
    assert difference.shape == recorded.shape
    assert (difference <= factor * allowed).all(), difference.max()


@pytest.mark.parametrize("folded", [False, True], ids=["as_published", "for_inference"])
def test_forward_and_refine(case: Case, folded: bool) -> None:
    network = loaded(case.folder)
    outputs, refined = forward(case, for_inference(network) if folded else network)
    first, second = case.arrays("a_forward.npz"), case.arrays("a_refine.npz")
    tolerance = Tolerance.of(case.document)
    assert_close(outputs.instances, first["instances_logits"], tolerance)
    assert_close(refined.logits, second["refined_logits"], tolerance)
    assert_close(refined.coarse, second["refine_coarse_logits"], tolerance)
    assert_close(refined.trimap, second["trimap_logits"], tolerance)
    text = case.document["level_a"]
    every = numbers(r"feature\[:, ::(\d+), ::(\d+), ::(\d+)\]", text)
    features = outputs.features[:, :: every[0], :: every[1], :: every[2]].numpy()
    recorded = second["feature_slice"]
    assert np.abs(features - recorded).max() <= 1e-5 * max(1, float(np.abs(recorded).max()))


def test_click_maps(case: Case) -> None:
    arrays = case.arrays("a_forward.npz")
    maps = loaded(case.folder).click_maps(
        torch.from_numpy(arrays["points"]), arrays["image"].shape[:2]
    )
    assert np.array_equal(maps.numpy(), arrays["click_map"])


def options_of(document: Document) -> FocalClickOptions:
    """The options of a recorded predictor, read from its description."""
    text = document["predictor"]
    found = re.search(
        r"skip_clicks=(-?\d+), expansion_ratio=([\d.]+), min_crop_size=(\d+), prob_thresh=([\d.]+)",
        text,
    )
    ratio = re.search(r"focus crop r=([\d.]+)", text)
    assert found and ratio
    height, width = numbers(r"resize to (\d+)x(\d+)", text)
    assert height == width
    return replace(
        FAITHFUL,
        skip_clicks=int(found[1]),
        expansion_ratio=float(found[2]),
        min_crop_size=int(found[3]),
        zoom_threshold=float(found[4]),
        infer_size=height,
        focus_ratio=float(ratio[1]),
    )


def test_click_sequence(case: Case, run: str) -> None:
    arrays, first = case.arrays(run), case.arrays("c_predictor.npz")
    image = arrays.get("image", first["image"])
    options = options_of(case.document)
    segmenter = FocalClickSegmenter(loaded(case.folder), "focalclick@golden:0", "cpu", options)
    prepared = segmenter.prepare(image)
    given = arrays["init_mask"] > 0 if "init_mask" in arrays else None
    clicks = tuple(Click(int(x), int(y), bool(sign)) for sign, y, x in arrays["clicks"])
    kept = arrays.get("kept", np.arange(len(clicks))).tolist()
    tolerance = Tolerance.of(case.document)
    state = None
    for count in range(1, len(clicks) + 1):
        with focus_crops() as seen:
            result = segmenter.segment(prepared, Prompt(clicks[:count], mask=given), state)
        state = result.state
        assert state is not None
        if count - 1 not in kept:
            continue
        index = kept.index(count - 1)
        memory = Memory.recalled(state)
        target = memory.roi or whole(prepared.size)
        assert half_open(target) == arrays["global_roi"][index].tolist()
        focus = in_picture(seen[0], target, options.infer_size)
        assert half_open(focus) == arrays["focus_roi"][index].tolist()
        probability = memory.values.numpy()
        assert_recorded(probability, arrays, index, tolerance)
        if given is not None:
            assert_few_differ(result.mask, arrays["merged"][index], tolerance)
        else:
            assert np.array_equal(result.probability, probability)


def half_open(roi: Roi) -> list[int]:
    """(y1, y2, x1, x2) as it is recorded."""
    return [roi.top, roi.bottom + 1, roi.left, roi.right + 1]


def assert_recorded(
    probability: npt.NDArray[np.float32],
    arrays: Mapping[str, npt.NDArray[Any]],
    index: int,
    tolerance: Tolerance,
) -> None:
    recorded = arrays["probs"][index]
    stride = round(probability.shape[0] / recorded.shape[0])
    difference = np.abs(probability[::stride, ::stride] - recorded).max()
    assert difference <= tolerance.probability, f"click {index}: {difference}"
    assert_few_differ(probability > 0.5, arrays["masks"][index], tolerance)
    assert abs(probability.sum(dtype=np.float64) - arrays["sums"][index]) <= (
        tolerance.probability * probability.size * 0.01
    )


def assert_few_differ(mask: Masks, recorded: npt.NDArray[np.uint8], tolerance: Tolerance) -> None:
    wanted = np.unpackbits(recorded, count=mask.size).reshape(mask.shape).astype(bool)
    assert np.count_nonzero(mask ^ wanted) <= tolerance.pixels * mask.size


@dataclass(frozen=True)
class CropRules:
    """The numbers of the unit cases, read from their description."""

    focus: tuple[float, ...]
    target: tuple[float, ...]
    merged: tuple[float, ...]

    @classmethod
    def of(cls, document: Document) -> CropRules:
        return cls(
            fractions(r"LOGITS > (.+?), .* PROBABILITY > (.+?), ratio (.+?),", document["focus"]),
            fractions(
                r"prev>(.+?), .*logits>(.+?) .*expansion (.+?), min_crop (.+?);", document["target"]
            ),
            fractions(r"logits>(.+?)\) into \(prev>(.+?)\)", document["merged"]),
        )


def fractions(pattern: str, text: str) -> tuple[float, ...]:
    """The numbers in the groups of a pattern that occurs in a description."""
    found = re.search(pattern, text)
    assert found, f"case.json says nothing like {pattern!r}"
    return tuple(float(group) for group in found.groups())


def test_crops(crops: Case) -> None:
    arrays = crops.arrays("crops.npz")
    rules = CropRules.of(crops.document)
    columns = crops.document["table_columns"]
    rows = [dict(zip(columns, row, strict=True)) for row in arrays["table"].tolist()]
    assert rows
    for row, logits, previous, merged in zip(
        rows, arrays["pred_logits"], arrays["prev_prob"], arrays["merged"], strict=True
    ):
        click = (row["click_y"], row["click_x"])
        now, before = logits > rules.focus[0], previous > rules.focus[1]
        within = recorded_region(row, "global")
        assert focus_region(now, before, click, within, rules.focus[2]) == recorded_region(
            row, "focus"
        )
        least = previous > rules.target[0]
        known = mask_roi(least if least.any() else logits > rules.target[1])
        size: Size = (now.shape[0], now.shape[1])
        found = None if known is None else target_region(known, [click], size, *rules.target[2:])
        wanted = tuple(row[f"target_{edge}"] for edge in ("rmin", "rmax", "cmin", "cmax"))
        assert (found or (-1, -1, -1, -1)) == wanted
        new, old = logits > rules.merged[0], previous > rules.merged[1]
        assert np.array_equal(progressive_merge(new, old, click, unchanged=True), merged)


def recorded_region(row: Mapping[str, int], name: str) -> Roi:
    """A region that a table gives half-open."""
    top, bottom, left, right = (row[f"{name}_{edge}"] for edge in ("y1", "y2", "x1", "x2"))
    return Roi(top, bottom - 1, left, right - 1)


def authors_file(case: Case, path: Path) -> Path:
    torch.save(
        {"state_dict": case.state_dict(), "config": case.document["checkpoint_config"]}, path
    )
    return path


def test_authors_container_loads_and_answers_the_same(case: Case, tmp_path: Path) -> None:
    checkpoint = checkpoints.load(authors_file(case, tmp_path / "last_checkpoint.pth"))
    network = network_of(checkpoint.architecture, checkpoint.config)
    network.load_state_dict(dict(checkpoint.tensors), strict=True)
    assert network.config == loaded(case.folder).config == CONFIGS[checkpoint.architecture]
    outputs, refined = forward(case, network.eval())
    recorded = case.arrays("a_refine.npz")["refined_logits"]
    assert_close(outputs.instances, case.arrays("a_forward.npz")["instances_logits"], Tolerance())
    assert_close(refined.logits, recorded, Tolerance())


def test_real_configuration_is_recognised(container: Case) -> None:
    path = container.folder / "config_only.pth"
    content = torch.load(path, map_location="cpu", weights_only=True)
    found = recognised(content, path.name)
    config = FocalClickConfig.from_serialized(container.document["checkpoint_config"])
    assert CONFIGS[found.architecture] == config
    with pytest.raises(checkpoints.CheckpointError, match="does not fit"):
        checkpoints.load(path)


def test_served_answers_are_near(case: Case) -> None:
    """What serving remembers is half as precise and a hundredth of the size; masks stay."""
    arrays = case.arrays("c_predictor.npz")
    segmenter = FocalClickSegmenter(loaded(case.folder), "focalclick@golden:0")
    clicks = tuple(Click(int(x), int(y), bool(sign)) for sign, y, x in arrays["clicks"])
    results = replay(segmenter, segmenter.prepare(arrays["image"]), Prompt(clicks))
    for index, result in enumerate(results):
        assert_recorded(result.probability, arrays, index, Tolerance.of(case.document))
