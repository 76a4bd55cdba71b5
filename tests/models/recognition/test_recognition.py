"""Files are recognised by content: known systems by name, known but missing ones by name too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.recognition import CheckpointError, opened, recognised, ritm
from models.recognition.opened import OpenedFile
from models.recognition.unsupported import MARKS

MANIFESTS = {
    "cdnet_res34": "CDNet",
    "clickseg_baseline_moblenetv2": "MobileNetV2 baseline",
    "clickseg_baseline_pplcnet": "PP-LCNet baseline",
    "simpleclick_vit_xtiny": "SimpleClick ViT-xTiny",
}


def tensors_of(shapes: Mapping[str, Any]) -> dict[str, Tensor]:
    """Tensors of these shapes that take no memory."""
    return {name: torch.empty(tuple(shape), device="meta") for name, shape in shapes.items()}


def in_container(tensors: object, class_name: str, **parameters: Any) -> dict[str, Any]:
    """What the authors of the RITM family save."""
    entries = {
        name: {"type": "builtin", "value": value, "specified": True}
        for name, value in parameters.items()
    }
    return {"state_dict": tensors, "config": {"class": f"isegm.{class_name}", "params": entries}}


@pytest.mark.parametrize("manifest", MANIFESTS)
@pytest.mark.parametrize("contained", [True, False], ids=["with config", "tensors alone"])
def test_what_is_not_implemented_is_refused_by_name(
    shared: Path, manifest: str, contained: bool
) -> None:
    document = json.loads((shared / "goldens/manifests" / f"{manifest}.json").read_text())
    tensors = tensors_of({name: entry["shape"] for name, entry in document["tensors"].items()})
    content: Any = tensors
    if contained:
        content = in_container(tensors, document["class"], **document["params"])
    wanted = f"model.pth is a {MANIFESTS[manifest]} checkpoint, which is not implemented"
    with pytest.raises(CheckpointError, match=wanted):
        recognised(content, "model.pth")


@pytest.mark.parametrize("network", MARKS)
def test_the_marks_of_a_network_suffice(network: str) -> None:
    with pytest.raises(CheckpointError, match=f"is a {network} checkpoint"):
        recognised(tensors_of(MARKS[network]), "model.pth")


def test_a_class_that_nobody_knows_is_named() -> None:
    content = in_container(tensors_of({"a": (1,)}), "somebody.Telepath")
    with pytest.raises(CheckpointError, match=r"the class 'isegm\.somebody\.Telepath'"):
        recognised(content, "model.pth")


def test_a_network_with_a_refiner_is_not_of_ritm() -> None:
    tensors = tensors_of({"refiner.refine_pred.weight": (1, 96, 1, 1), "maps": (1,)})
    content = in_container(tensors, "model.is_hrnet_model.HRNetModel", width=18)
    assert ritm.recognise(opened(content, "model.pth")) is None


def test_an_opened_file_answers_questions() -> None:
    tensors = tensors_of({"neck.weight": (4, 3)})
    file = opened(in_container(tensors, "model.Network", width=18), "model.pth")
    assert (file.class_name, file.parameter("width"), file.parameter("depth")) == (
        "Network",
        18,
        None,
    )
    assert (file.shape("neck.weight"), file.shape("head.weight")) == ((4, 3), None)
    assert (file.has_any("neck."), file.has_any("head.")) == (True, False)
    assert OpenedFile("model.pth", tensors).class_name == ""


@pytest.mark.parametrize(
    "content, match",
    [
        ({"state_dict": [], "config": {}}, "must both be tables"),
        ({"state_dict": {"a": 1}, "config": {}}, "must hold tensors"),
        ({"state_dict": {}, "config": {}}, "must hold tensors"),
        ({"state_dict": {"a": torch.zeros(1)}, "config": {1: 2}}, "must be names"),
        ({1: torch.zeros(1)}, "not the weights of one network"),
        (None, "holds NoneType"),
    ],
)
def test_other_forms_are_refused(content: object, match: str) -> None:
    with pytest.raises(CheckpointError, match=match):
        recognised(content, "model.pth")
