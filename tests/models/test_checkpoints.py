"""The safe loader: what it recognises, and everything that it refuses."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from models import checkpoints, zoo
from models.checkpoints import Checkpoint, CheckpointError


@pytest.fixture(scope="module")
def mobilesam() -> dict[str, Tensor]:
    return dict(zoo.architecture("mobilesam").network().state_dict())


@pytest.fixture(scope="module")
def ritm() -> dict[str, Any]:
    """What RITM's authors save for HRNet-18s."""
    network = zoo.architecture("ritm-hrnet18s").network()
    specified = {
        "width": 18,
        "ocr_width": 48,
        "small": True,
        "with_aux_output": True,
        "use_leaky_relu": True,
        "use_rgb_conv": False,
        "use_disks": True,
        "norm_radius": 5,
        "with_prev_mask": True,
    }
    parameters: dict[str, Any] = {
        name: {"type": "builtin", "value": value, "specified": True}
        for name, value in specified.items()
    }
    parameters["norm_mean_std"] = {
        "type": "builtin",
        "value": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        "specified": False,
    }
    config = {"class": "isegm.model.is_hrnet_model.HRNetModel", "params": parameters}
    return {"state_dict": OrderedDict(network.state_dict()), "config": config}


def saved(content: object, path: Path, *, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_mobilesam_is_recognised_by_its_tensors(
    mobilesam: dict[str, Tensor], tmp_path: Path, legacy: bool
) -> None:
    path = saved(OrderedDict(mobilesam), tmp_path / "holiday.jpg", legacy=legacy)
    found = checkpoints.load(path)
    assert (found.architecture, found.weights) == ("mobilesam", None)
    assert found.source == checkpoints.sha256(path)
    assert found.tensors.keys() == mobilesam.keys()
    assert all(torch.equal(found.tensors[name], value) for name, value in mobilesam.items())


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_ritm_is_recognised_by_its_configuration(
    ritm: dict[str, Any], tmp_path: Path, legacy: bool
) -> None:
    path = saved(ritm, tmp_path / "coco_lvis_h18s_itermask.pth", legacy=legacy)
    found = checkpoints.load(path)
    assert (found.architecture, found.weights) == ("ritm-hrnet18s", "coco-lvis")
    assert found.config["params"]["norm_radius"]["value"] == 5


def test_conversion_keeps_everything_and_is_deterministic(
    ritm: dict[str, Any], tmp_path: Path
) -> None:
    original = checkpoints.load(saved(ritm, tmp_path / "coco_lvis_h18s_itermask.pth"))
    first, second = tmp_path / "a", tmp_path / "b"
    checkpoints.save(original, first)
    again = checkpoints.load(first)
    checkpoints.save(again, second)
    assert first.read_bytes() == second.read_bytes()
    assert (again.architecture, again.weights) == (original.architecture, original.weights)
    assert again.source == original.source
    assert all(torch.equal(again.tensors[n], t) for n, t in original.tensors.items())
    digest = checkpoints.sha256(first)[:12]
    assert checkpoints.version_of(again, first) == f"ritm-hrnet18s@coco-lvis:{digest}"
    assert checkpoints.version_id("x", "y", first) == f"x@y:{digest}"


def test_a_published_name_needs_the_published_bytes(
    mobilesam: dict[str, Tensor], tmp_path: Path
) -> None:
    path = saved(mobilesam, tmp_path / "mobile_sam.pt")
    assert checkpoints.load(path).weights is None


def test_unnamed_weights_are_called_after_their_file(
    mobilesam: dict[str, Tensor], tmp_path: Path
) -> None:
    path = saved(mobilesam, tmp_path / "My Weights (2).pt")
    version = checkpoints.version_of(checkpoints.load(path), path)
    assert version.startswith("mobilesam@my-weights-2:")


class Hostile:
    """Pickles into a call that creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_a_hostile_pickle_does_not_run(
    mobilesam: dict[str, Tensor], tmp_path: Path, form: str
) -> None:
    marker, path = tmp_path / "executed", tmp_path / "mobile_sam.pt"
    content = {**mobilesam, "extra": Hostile(marker)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        saved(content, path, legacy=form == "legacy")
    with pytest.raises(CheckpointError, match="cannot be read safely"):
        checkpoints.load(path)
    assert not marker.exists()


def test_the_hostile_pickle_would_run_if_it_were_let(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    pickle.loads(pickle.dumps(Hostile(marker)))  # noqa: S301
    assert marker.exists()


def test_a_truncated_file_is_refused(mobilesam: dict[str, Tensor], tmp_path: Path) -> None:
    whole = saved(mobilesam, tmp_path / "whole.pt").read_bytes()
    safe = tmp_path / "safe"
    checkpoints.save(Checkpoint("mobilesam", mobilesam), safe)
    for data, kept in ((whole, 0.6), (whole, 0.999), (safe.read_bytes(), 0.6)):
        cut = tmp_path / "cut.pt"
        cut.write_bytes(data[: int(len(data) * kept)])
        with pytest.raises(CheckpointError, match=r"cut\.pt .*damaged"):
            checkpoints.load(cut)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff\xe0" + bytes(2000), b"<html>404</html>", b"PK\x03\x04" + bytes(99)]
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "mobile_sam.pt"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"mobile_sam\.pt cannot be read safely"):
        checkpoints.load(path)


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.pkl", bytes(1 << 20))
    with pytest.raises(CheckpointError, match="compressed archive"):
        checkpoints.load(path)


def refused(content: object, tmp_path: Path, match: str) -> None:
    path = saved(content, tmp_path / "file.pt")
    with pytest.raises(CheckpointError, match=match):
        checkpoints.load(path)


def test_other_contents_are_refused_with_what_they_are(tmp_path: Path) -> None:
    refused([{"state_dict": {}, "config": {}}], tmp_path, "several models")
    refused(torch.zeros(3), tmp_path, "holds Tensor")
    refused({}, tmp_path, "neither a flat table")
    refused({"model": {"a": torch.zeros(1)}}, tmp_path, "its keys are 'model'")
    refused({"a": torch.zeros(1)}, tmp_path, "no network that is known")
    refused({"image_encoder.pos_embed": torch.zeros(1)}, tmp_path, "with a ViT encoder")


def test_a_file_that_nearly_fits_is_refused(mobilesam: dict[str, Tensor], tmp_path: Path) -> None:
    head = "image_encoder.head.bias"
    lacking = {name: tensor for name, tensor in mobilesam.items() if name != head}
    refused(lacking, tmp_path, f"1 tensors missing.*{head}")
    refused({**mobilesam, "more": torch.zeros(1)}, tmp_path, "1 unknown")
    refused({**mobilesam, head: torch.zeros(999)}, tmp_path, "1 of another shape")
    refused({**mobilesam, head: torch.zeros(1000).half()}, tmp_path, "1 of another shape or type")
    broken = torch.zeros(1000)
    broken[7] = torch.nan
    refused({**mobilesam, head: broken}, tmp_path, f"{head} holds infinities or NaN")


def test_ritm_like_files_of_other_kinds_are_refused(ritm: dict[str, Any], tmp_path: Path) -> None:
    tensors, config = ritm["state_dict"], ritm["config"]
    other = {**config, "class": "isegm.model.is_telepathic_model.TelepathicModel"}
    refused({"state_dict": tensors, "config": other}, tmp_path, "TelepathicModel")
    wider = {**config["params"], "width": {"type": "builtin", "value": 32, "specified": True}}
    disagreeing = {"state_dict": tensors, "config": {**config, "params": wider}}
    refused(disagreeing, tmp_path, "width = 32, its tensors 18")
    refused({"state_dict": [], "config": config}, tmp_path, "must both be tables")
    refused({"state_dict": {"a": 1}, "config": config}, tmp_path, "must hold tensors")


def test_safetensors_without_our_header_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="without this program's header"):
        checkpoints.load(path)


def test_safetensors_of_an_unknown_architecture_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "future"
    checkpoints.save(Checkpoint("telepathy", {"a": torch.zeros(1)}), path)
    with pytest.raises(CheckpointError, match="no model is called 'telepathy'"):
        checkpoints.load(path)


def test_a_name_in_the_header_cannot_be_a_path(
    mobilesam: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "odd"
    checkpoints.save(Checkpoint("mobilesam", mobilesam, weights="../../etc"), path)
    with pytest.raises(CheckpointError, match="no valid name"):
        checkpoints.load(path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        checkpoints.load(tmp_path / "absent")


@pytest.mark.parametrize("seed", range(30))
def test_damaged_bytes_never_escape_as_other_errors(tmp_path: Path, seed: int) -> None:
    buffer = io.BytesIO()
    torch.save({"state_dict": {"a": torch.zeros(4)}, "config": {"class": "x"}}, buffer)
    data = bytearray(buffer.getvalue())
    random = np.random.default_rng(seed)
    for position in random.integers(0, len(data), 12):
        data[position] = random.integers(256)
    path = tmp_path / "damaged"
    path.write_bytes(data)
    with pytest.raises(CheckpointError):
        checkpoints.load(path)
