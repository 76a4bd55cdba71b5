"""ClickAttention against recorded outputs of the authors' code: network, losses, clicks.

Everything is read from case.json, so folders of other sizes, clicks and seeds serve as well.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from backend.training.affinity import discriminative_affinity, weight_supervision
from models import checkpoints
from models.backbones.mit import STAGES, Grid
from models.clickattention import (
    CONFIGS,
    FAITHFUL,
    ClickAttentionConfig,
    ClickAttentionNetwork,
    ClickAttentionOptions,
    ClickAttentionSegmenter,
    network_of,
)
from models.clickattention_config import CLASS, Mode
from models.clickattention_network import SimilarityWeights, patch_numbers
from models.focalclick_memory import Memory
from models.prompts import Click, Prompt
from models.recognition import recognised
from tests.goldens.cases import Arrays, Case, Document, cases, parametrize

MODES: tuple[Mode, ...] = ("released", "paper")
LOGITS: Mapping[Mode, str] = {
    "released": "instances_logits",
    "paper": "instances_logits_paper_mode",
}
RUNS: Mapping[str, Mode] = {
    "c_predictor.npz": "released",
    "c_predictor_paper_mode.npz": "paper",
    "d_edge.npz": "released",
}


def is_clickattention(document: Document) -> bool:
    config = document.get("checkpoint_config", {})
    return str(config.get("class", "")).rpartition(".")[2] == CLASS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    found = cases(metafunc.config, is_clickattention)
    if "run" in metafunc.fixturenames:
        pairs = [(case, run) for case in found for run in RUNS if case.has(run)]
        ids = [f"{case.name}-{run.removesuffix('.npz')}" for case, run in pairs]
        parametrize(metafunc, "case,run", pairs, ids)
    elif "container" in metafunc.fixturenames:
        parametrize(metafunc, "container", [case for case in found if case.has("config_only.pth")])
    elif "case" in metafunc.fixturenames:
        parametrize(metafunc, "case", found)


@pytest.fixture(autouse=True, scope="module")
def recorded_threads() -> Iterator[None]:
    """One number of threads for all: under these weights B3 makes much of the last digit."""
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(usual)


@lru_cache(maxsize=8)
def loaded(folder: Path) -> ClickAttentionNetwork:
    case = Case(folder)
    config = ClickAttentionConfig.from_serialized(case.document["checkpoint_config"])
    network = ClickAttentionNetwork(config)
    network.load_state_dict(case.state_dict(), strict=True)
    return network.eval()


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


def test_tensors_are_the_authors(case: Case) -> None:
    manifest = json.loads((case.folder / "manifest.json").read_text())
    tensors = loaded(case.folder).state_dict()
    assert manifest == {
        name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
        for name, tensor in tensors.items()
    }


def recorded_input(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """Picture [1, 3, H, W], points [1, 2P, 3] and previous map [1, 1, H, W]."""
    arrays = case.arrays("a_forward.npz")
    image = torch.from_numpy(arrays["image"]).permute(2, 0, 1)[None].float() / 255
    previous = torch.from_numpy(arrays["prev_mask_u8"])[None, None].float() / 255
    return image, torch.from_numpy(arrays["points"]), previous


@torch.inference_mode()
def logits(network: ClickAttentionNetwork, case: Case, mode: Mode) -> Tensor:
    network.mode = mode
    try:
        found: Tensor = network(*recorded_input(case)).instances
        return found
    finally:
        network.mode = "released"


def assert_close(actual: Tensor, recorded: npt.NDArray[np.float32], tolerance: Tolerance) -> None:
    """Equal at the recorded stride."""
    stride = round(actual.shape[-1] / recorded.shape[-1])
    difference = np.abs(actual[:, :, ::stride, ::stride].numpy() - recorded)
    allowed = tolerance.absolute + tolerance.relative * np.abs(recorded)
    assert difference.shape == recorded.shape
    assert (difference <= allowed).all(), difference.max()


@pytest.mark.parametrize("mode", MODES)
def test_forward(case: Case, mode: Mode) -> None:
    recorded = case.arrays("a_forward.npz")[LOGITS[mode]]
    assert_close(logits(loaded(case.folder), case, mode), recorded, Tolerance.of(case.document))


def test_click_maps(case: Case) -> None:
    image, points, _ = recorded_input(case)
    size = (image.shape[2], image.shape[3])
    maps = loaded(case.folder).dist_maps(points, size).numpy()
    assert np.array_equal(maps, case.arrays("a_forward.npz")["click_map"])


@torch.inference_mode()
def test_weights_and_attention(case: Case) -> None:
    network, recorded = loaded(case.folder), case.arrays("a_attn.npz")
    image, points, previous = recorded_input(case)
    found = network(image, points, previous, supervised=True)
    assert found.positives.tolist() == recorded["pos_click_len"].ravel().tolist()
    for index, stage in enumerate(network.config.stages):
        weights = found.weights[stage].numpy()
        assert np.abs(weights - recorded[f"attnW{index}"]).max() <= 1e-4
    for index, stage in enumerate(STAGES):
        stride = 4 << index
        numbers = patch_numbers(points, stride, Grid(*(side // stride for side in image.shape[2:])))
        assert np.array_equal(numbers.numpy(), recorded[f"idxs{index}"]), stage
    mean = torch.stack(found.attention[4]).mean(dim=0).mean(dim=1).numpy()
    assert np.abs(mean - recorded["stage4_attn_mean"]).max() <= 1e-5


@torch.inference_mode()
def test_a_single_positive_click_weighs_nothing(case: Case) -> None:
    network = loaded(case.folder)
    image, points, previous = recorded_input(case)
    points = points.clone()
    points[:, 1 : points.shape[1] // 2] = -1
    found = network(image, points, previous, supervised=True)
    last = network.config.stages[-1]
    index = len(network.config.stages) - 1
    recorded = case.arrays("a_attn.npz")[f"attnW{index}_single_positive"]
    assert found.positives.tolist() == [1]
    assert np.array_equal(found.weights[last].numpy(), recorded)


@torch.inference_mode()
def test_weight_module(case: Case) -> None:
    arrays, text = case.arrays("b_modules.npz"), case.document["level_b"]
    name = re.search(r"backbone\.(attn_weight\d)", text)
    columns = re.search(r"first (\d+) columns positive", text)
    assert name and columns
    module = cast(
        SimilarityWeights, loaded(case.folder).feature_extractor.backbone.get_submodule(name[1])
    )
    tokens = torch.from_numpy(arrays["module_x"])
    side = math.isqrt(tokens.shape[1])
    clicked = torch.from_numpy(arrays["module_idxs"])[:, : int(columns[1])].long()
    weights, positives = module(tokens, Grid(side, side), clicked)
    assert np.abs(weights.numpy() - arrays["module_weights"]).max() <= 1e-5
    assert positives.tolist() == arrays["module_pos_click_len"].ravel().tolist()


def stage_arrays(arrays: Arrays, prefix: str) -> dict[int, Tensor]:
    """The arrays prefix0, prefix1, ... as leaves, by stage; the last is that of the last stage."""
    count = sum(name.startswith(prefix) for name in arrays)
    first = STAGES[-1] + 1 - count
    return {
        first + index: torch.from_numpy(arrays[f"{prefix}{index}"]).requires_grad_()
        for index in range(count)
    }


def attention_of(arrays: Arrays) -> dict[int, list[Tensor]]:
    found: dict[int, list[Tensor]] = {}
    for name in sorted(arrays):
        told = re.fullmatch(r"aff_attn_(\d+)_(\d+)", name)
        if told:
            leaf = torch.from_numpy(arrays[name]).requires_grad_()
            found.setdefault(int(told[1]) + 1, []).append(leaf)
    return found


@pytest.mark.parametrize("kind", ["two", "one_masked"])
def test_discriminative_affinity_loss(case: Case, kind: str) -> None:
    arrays, text = case.arrays("b_modules.npz"), case.document["level_b"]
    told = re.search(rf"\[\[(\d+)\], ?\[(\d+)\]\] \('{kind}'", text)
    assert told
    positives = [int(one) for one in told.groups()]
    attention = attention_of(arrays)
    weights = stage_arrays(arrays, "aff_attnW_")
    seg = torch.from_numpy(arrays["aff_seg_logits"]).requires_grad_()
    loss = discriminative_affinity(seg, attention, weights, torch.tensor(positives))
    loss.backward()
    assert loss.item() == pytest.approx(arrays[f"aff_value_{kind}"].item(), rel=1e-5)
    assert seg.grad is not None
    norm = arrays[f"aff_grad_seg_norm_{kind}"].item()
    assert seg.grad.norm().item() == pytest.approx(norm, rel=1e-4)
    assert np.abs(seg.grad.numpy() - arrays[f"aff_grad_seg_{kind}"]).max() <= 1e-4 * norm
    norms = [
        [0.0 if leaf.grad is None else leaf.grad.norm().item() for leaf in attention[stage]]
        for stage in sorted(attention)
    ]
    np.testing.assert_allclose(norms, arrays[f"aff_grad_attn_norms_{kind}"], rtol=1e-4, atol=1e-9)
    assert all(leaf.grad is None for leaf in weights.values())


def test_weight_supervision(case: Case) -> None:
    arrays, text = case.arrays("b_modules.npz"), case.document["level_b"]
    told = re.search(r"pos_click_len \[\[(\d+)\], ?\[(\d+)\]\]\)\.?$", text)
    assert told
    weights = stage_arrays(arrays, "attw_pred_")
    target = torch.from_numpy(arrays["attw_gt"])
    loss = weight_supervision(weights, target, torch.tensor([int(one) for one in told.groups()]))
    loss.backward()
    assert loss.item() == pytest.approx(arrays["attw_value"].item(), rel=1e-5)
    norms = [leaf.grad.norm().item() for leaf in weights.values() if leaf.grad is not None]
    np.testing.assert_allclose(norms, arrays["attw_grad_norms"], rtol=1e-4)


def options_of(document: Document, mode: Mode) -> ClickAttentionOptions:
    """The options of a recorded predictor, read from its description."""
    side = re.search(r"infer_size x infer_size = (\d+)", document["predictor"])
    assert side
    return replace(FAITHFUL, mode=mode, infer_size=int(side[1]))


@dataclass(frozen=True)
class Recording:
    """Recorded answers to clicks on one picture."""

    arrays: Arrays
    image: npt.NDArray[np.uint8]
    clicks: tuple[Click, ...]
    kept: list[int]

    @classmethod
    def of(cls, case: Case, run: str) -> Recording:
        arrays, first = case.arrays(run), case.arrays("c_predictor.npz")
        rows = arrays.get("clicks", first["clicks"]).tolist()
        clicks = tuple(Click(column, row, bool(sign)) for sign, row, column in rows)
        kept = arrays["kept"].tolist() if "kept" in arrays else list(range(len(clicks)))
        return cls(arrays, arrays.get("image", first["image"]), clicks, kept)

    def check(self, index: int, probability: npt.NDArray[np.float32], tolerance: Tolerance) -> None:
        """One answer, that of a click which is kept, at the recorded stride and as a whole."""
        recorded = self.arrays["probs"][index]
        stride = round(probability.shape[0] / recorded.shape[0])
        difference = np.abs(probability[::stride, ::stride] - recorded).max()
        assert difference <= tolerance.probability, f"click {self.kept[index]}: {difference}"
        packed = self.arrays["masks"][index]
        mask = np.unpackbits(packed, count=probability.size).reshape(probability.shape)
        differing = np.count_nonzero((probability > 0.5) ^ mask.astype(bool))
        assert differing <= tolerance.pixels * mask.size
        total = probability.sum(dtype=np.float64)
        assert abs(total - self.arrays["sums"][index]) <= tolerance.probability * mask.size * 0.1


def answered(
    segmenter: ClickAttentionSegmenter, recording: Recording
) -> Iterator[npt.NDArray[np.float32]]:
    """The answers to a recording's clicks, one after another."""
    prepared, state = segmenter.prepare(recording.image), None
    for count in range(1, len(recording.clicks) + 1):
        result = segmenter.segment(prepared, Prompt(recording.clicks[:count]), state)
        state = result.state
        assert state is not None
        if segmenter.options.full_size_state:
            remembered = Memory.recalled(state).values.numpy()
            assert np.array_equal(result.probability, remembered)
        yield result.probability


def test_click_sequence(case: Case, run: str) -> None:
    recording = Recording.of(case, run)
    options = options_of(case.document, RUNS[run])
    segmenter = ClickAttentionSegmenter(loaded(case.folder), "golden@0:0", "cpu", options)
    tolerance = Tolerance.of(case.document)
    drift = [row[0] for row in case.document.get("drift_level_c", {}).get("values", [])]
    for count, probability in enumerate(answered(segmenter, recording)):
        if count in recording.kept:
            own = 10 * drift[count] if count < len(drift) else 0
            allowed = replace(tolerance, probability=max(tolerance.probability, own))
            recording.check(recording.kept.index(count), probability, allowed)


def test_served_answers_are_near(case: Case) -> None:
    """The default remembers less and adds up in another order; first answers hardly differ."""
    recording = Recording.of(case, "c_predictor.npz")
    side = options_of(case.document, "released").infer_size
    options = ClickAttentionOptions(infer_size=side)
    segmenter = ClickAttentionSegmenter(loaded(case.folder), "golden@0:0", "cpu", options)
    prompt = Prompt(recording.clicks[:1])
    result = segmenter.segment(segmenter.prepare(recording.image), prompt)
    # What the second pass is shown was never stretched to the picture's size and back.
    recording.check(0, result.probability, replace(Tolerance(), probability=1e-2))


def authors_file(case: Case, path: Path, config: Mapping[str, Any] | None) -> Path:
    tensors = case.state_dict()
    torch.save(tensors if config is None else {"state_dict": tensors, "config": config}, path)
    return path


@pytest.mark.parametrize("told", [True, False], ids=["with_config", "tensors_alone"])
def test_authors_container_loads_and_answers_the_same(
    case: Case, tmp_path: Path, told: bool
) -> None:
    config = case.document["checkpoint_config"] if told else None
    checkpoint = checkpoints.load(authors_file(case, tmp_path / "248.pth", config))
    network = network_of(checkpoint.architecture, checkpoint.config)
    network.load_state_dict(dict(checkpoint.tensors), strict=True)
    assert network.config == loaded(case.folder).config == CONFIGS[checkpoint.architecture]
    recorded = case.arrays("a_forward.npz")["instances_logits"]
    tolerance = Tolerance.of(case.document)
    assert_close(logits(network.eval(), case, "released"), recorded, tolerance)


def test_real_configuration_is_recognised(container: Case) -> None:
    path = container.folder / "config_only.pth"
    content = torch.load(path, map_location="cpu", weights_only=True)
    found = recognised(content, path.name)
    config = ClickAttentionConfig.from_serialized(container.document["checkpoint_config"])
    assert CONFIGS[found.architecture] == config
    with pytest.raises(checkpoints.CheckpointError, match="does not fit"):
        checkpoints.load(path)
