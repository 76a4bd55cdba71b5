"""SimpleClick against recorded outputs of the authors' code: the network, and click after click.

Sizes, strides and clicks are read from the recorded arrays and from case.json, so folders of other
sizes, clicks and seeds serve as well.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models import checkpoints, restricted_reader, zoo
from models.prompts import Click, Prompt
from models.recognition import recognised
from models.simpleclick import (
    CONFIGS,
    SimpleClickConfig,
    SimpleClickNetwork,
    SimpleClickOptions,
    SimpleClickSegmenter,
    network_of,
)
from models.simpleclick_config import CLASS
from models.state import State
from tests.goldens.cases import Case, cases, golden_folder, parametrize
from tests.models.torch_files import authors_code

LOGITS_ABSOLUTE, LOGITS_RELATIVE = 2e-4, 1e-4
PROBABILITY = 1e-3
PIXELS = 5e-4
"""Share of a mask's pixels that may differ."""

LAST = ("head.conv_seg.weight", "head.conv_seg.bias")


def is_simpleclick(document: Mapping[str, Any]) -> bool:
    return str(document.get("checkpoint_config", {}).get("class", "")).endswith(f".{CLASS}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    found = cases(metafunc.config, is_simpleclick)
    if "sequence" in metafunc.fixturenames:
        pairs = [
            (case, path.name)
            for case in found
            for path in sorted(case.folder.glob("*.npz"))
            if "object_roi" in np.load(path).files
        ]
        ids = [f"{case.name}-{name.removesuffix('.npz')}" for case, name in pairs]
        parametrize(metafunc, "case,sequence", pairs, ids)
    elif "manifest" in metafunc.fixturenames:
        folder = golden_folder(metafunc.config) / "manifests"
        files = [path for path in sorted(folder.glob("*.json")) if _is_known(path)]
        parametrize(metafunc, "manifest", files, [path.stem for path in files])
    elif "case" in metafunc.fixturenames:
        parametrize(metafunc, "case", found)


def _is_known(path: Path) -> bool:
    document = json.loads(path.read_text())
    in_class = str(document.get("class", "")).endswith(f".{CLASS}")
    return in_class and not path.stem.endswith("xtiny")


@lru_cache(maxsize=1)
def loaded(folder: Path) -> SimpleClickNetwork:
    case = Case(folder)
    tensors = case.state_dict()
    config = case.document["checkpoint_config"]
    network = SimpleClickNetwork(SimpleClickConfig.from_serialized(_plain(config), tensors))
    network.load_state_dict(tensors, strict=True)
    return network.eval()


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without what stands in case.json for a pickled object."""
    return json.loads(json.dumps(config), object_hook=_without_objects)


def _without_objects(table: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, str) and value.startswith("<pickled") else value
        for key, value in table.items()
    }


def assert_close(actual: Tensor, recorded: npt.NDArray[Any]) -> None:
    """Equal within the recorded tolerance, at the stride that the shapes tell."""
    shapes = zip(actual.shape, recorded.shape, strict=True)
    seen = actual[tuple(slice(None, None, -(-full // kept)) for full, kept in shapes)].numpy()
    assert seen.shape == recorded.shape
    np.testing.assert_allclose(seen, recorded, rtol=LOGITS_RELATIVE, atol=LOGITS_ABSOLUTE)


def inputs(arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[Tensor, Tensor, Tensor]:
    """Picture [1, 3, H, W], points [1, 2P, 3] and previous map [1, 1, H, W]."""
    image = torch.from_numpy(arrays["image"]).permute(2, 0, 1)[None].float() / 255
    previous = torch.from_numpy(arrays["prev_mask_u8"])[None, None].float() / 255
    return image, torch.from_numpy(arrays["points"]), previous


def same_tensors(network: nn.Module, manifest: Mapping[str, Mapping[str, Any]]) -> None:
    """The network's state dict has exactly the names, shapes and types of the manifest."""
    own = {
        name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
        for name, tensor in network.state_dict().items()
    }
    assert own == manifest


def test_tensors_are_the_authors(case: Case) -> None:
    same_tensors(loaded(case.folder), json.loads((case.folder / "manifest.json").read_text()))


def test_other_sizes_have_the_authors_tensors(manifest: Path) -> None:
    """On the device that only has shapes: the largest network has 2.6 GB of values."""
    document = json.loads(manifest.read_text())
    params = {
        name: {"type": "builtin", "value": value, "specified": True}
        for name, value in document["params"].items()
    }
    tensors = {
        name: torch.empty(entry["shape"], device="meta")
        for name, entry in document["tensors"].items()
    }
    config = {"class": document["class"], "params": params}
    found = recognised({"state_dict": tensors, "config": config}, manifest.name)
    with torch.device("meta"):
        same_tensors(network_of(found.architecture, found.config), document["tensors"])
    values = sum(tensor.numel() for tensor in tensors.values())
    assert zoo.architecture(found.architecture).parameters == values


def test_forward(case: Case) -> None:
    arrays = case.arrays("a_forward.npz")
    network = loaded(case.folder)
    image, points, previous = inputs(arrays)
    with torch.inference_mode():
        clicks = network.dist_maps(points, (image.shape[2], image.shape[3]))
        assert_close(network(image, points, previous).instances, arrays["instances_logits"])
    assert np.array_equal(clicks.numpy(), arrays["click_map"])


def test_features(case: Case) -> None:
    recorded = case.arrays("a_features.npz")
    network = loaded(case.folder)
    with torch.inference_mode():
        image, points, previous = inputs(case.arrays("a_forward.npz"))
        tokens = network.click_tokens(points, (image.shape[2], image.shape[3]), previous)
        features = network.features(network.normalised(image), tokens)
        levels = network.neck(features)
        assert_close(features.flatten(2).transpose(1, 2), recorded["backbone_tokens_slice"])
        assert_close(levels[0], recorded["neck0_slice"])
        assert_close(levels[3], recorded["neck3_slice"])
        assert_close(network.head(levels), recorded["head_logits"])


def test_other_input_sizes(case: Case) -> None:
    recorded = case.arrays("a_features.npz")
    network = loaded(case.folder)
    image, points, previous = inputs(case.arrays("a_forward.npz"))
    before = network.backbone.pos_embed.clone()
    sides = [int(name.rpartition("_")[2]) for name in recorded if name.startswith("logits_")]
    for side in sides:
        grid = (side // network.config.shape.patch,) * 2
        larger = [
            functional.interpolate(x, (side, side), mode="bilinear", align_corners=True)
            for x in (image, previous)
        ]
        moved = points.clone()
        moved[..., :2] *= side / image.shape[2]
        with torch.inference_mode():
            assert_close(network.backbone.positions(grid), recorded[f"pos_embed_{side}_slice"])
            logits = network(larger[0], moved, larger[1]).instances
        assert_close(logits, recorded[f"logits_{side}"])
    assert sides
    assert torch.equal(network.backbone.pos_embed, before), "positions are computed, not replaced"


PATTERNS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "expansion_ratio": (r"expansion ([\d.]+)", float),
    "min_crop_size": (r"min_crop (\d+)", int),
    "zoom_threshold": (r"prob_thresh ([\d.]+)", float),
    "recompute_iou": (r"recompute IoU ([\d.]+)", float),
}


def options_of(document: Mapping[str, Any]) -> SimpleClickOptions:
    """The options that reproduce the recorded run, as case.json describes it."""
    told = document["predictor"]
    target = re.search(r"target_size=\((\d+), ?(\d+)\)", told)
    assert target is not None
    assert "skip_clicks=-1" in told
    found = {name: re.search(pattern, told) for name, (pattern, _) in PATTERNS.items()}
    chosen = {name: PATTERNS[name][1](match[1]) for name, match in found.items() if match}
    return SimpleClickOptions(
        input_side=(int(target[1]), int(target[2])),
        flip="flip" in told,
        fast_arithmetic=False,
        full_size_state=True,
        **chosen,
    )


@contextmanager
def last_layer(
    network: SimpleClickNetwork, arrays: Mapping[str, npt.NDArray[Any]]
) -> Iterator[None]:
    """The network has the last layer that a recording brings, if it brings one."""
    kept = {name: network.state_dict()[name].clone() for name in LAST}
    names = {name: f"overrides_{name.removeprefix('head.').replace('.', '_')}" for name in LAST}
    own = {name: torch.from_numpy(arrays[key]) for name, key in names.items() if key in arrays}
    try:
        network.load_state_dict(own, strict=False)
        yield
    finally:
        network.load_state_dict(kept, strict=False)


def test_click_sequence(case: Case, sequence: str) -> None:
    arrays = case.arrays(sequence)
    height, width = arrays["image"].shape[:2]
    stride = -(-height // arrays["probs"].shape[1])
    network, options = loaded(case.folder), options_of(case.document)
    with last_layer(network, arrays):
        segmenter = SimpleClickSegmenter(network, f"{case.name}@golden:0", "cpu", options)
    prepared = segmenter.prepare(arrays["image"])
    state: State | None = None
    clicks: tuple[Click, ...] = ()
    for index, (positive, row, column) in enumerate(arrays["clicks"].tolist()):
        clicks += (Click(column, row, bool(positive)),)
        result = segmenter.segment(prepared, Prompt(clicks), state)
        state = result.state
        assert state is not None
        assert state.values["roi"] == arrays["object_roi"][index].tolist()
        difference = np.abs(result.probability[::stride, ::stride] - arrays["probs"][index])
        assert difference.max() <= PROBABILITY, f"click {index}"
        bits = np.unpackbits(arrays["masks"][index].reshape(-1))[: height * width]
        other = (result.probability > 0.5) != bits.reshape(height, width).astype(bool)
        assert np.count_nonzero(other) <= PIXELS * height * width, f"click {index}"
        total = float(result.probability.sum(dtype=np.float64))
        assert abs(total - arrays["sums"][index]) <= 1e-4 * height * width


def test_the_authors_file_gives_the_authors_network(case: Case, tmp_path: Path) -> None:
    """Their container with the pickled loss in its configuration, and all the weights."""
    config = restricted_reader.read(case.folder / "config_only.pth")["config"]
    path = tmp_path / "cocolvis_vit_base.pth"
    module = "isegm__model__modeling__transformer_helper__cross_entropy_loss"
    with authors_code(**{f"{module}__CrossEntropyLoss": nn.Module}) as code:
        head = config["params"]["head_params"]["value"]
        head["loss_decode"] = code["CrossEntropyLoss"]()
        torch.save({"state_dict": case.state_dict(), "config": config}, path)
    with pytest.raises(pickle.UnpicklingError, match="CrossEntropyLoss"):
        torch.load(path, weights_only=True)
    found = checkpoints.load(path)
    published = CONFIGS[found.architecture]
    assert published == SimpleClickConfig.from_serialized(found.config)
    network = network_of(found.architecture, found.config)
    network.load_state_dict(dict(found.tensors), strict=True)
    wanted = loaded(case.folder).state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in network.state_dict().items())
