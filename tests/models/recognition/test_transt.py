"""TransT's files among the files of others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from models import checkpoints
from models.recognition import CheckpointError, opened, recognised
from models.recognition import transt as own
from models.transt import TransTNetwork, network_of
from tests.models.torch_files import authors_code


def tensors(layers: int) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return TransTNetwork(layers).state_dict()


@pytest.mark.parametrize(("layers", "config"), [(4, {}), (2, {"layers": 2})])
@pytest.mark.parametrize("wrapped", [True, False], ids=["container", "tensors_alone"])
def test_both_networks(layers: int, config: dict[str, int], wrapped: bool) -> None:
    net = tensors(layers)
    found = recognised({"epoch": 500, "net": net} if wrapped else net, "transt.pth")
    assert (found.architecture, found.config) == ("transt", config)
    assert network_of(found.architecture, found.config).layers == layers


def test_another_number_of_layers_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"transt\.pth is a TransT network with 3 fusion"):
        recognised({"net": tensors(3)}, "transt.pth")


@pytest.mark.parametrize("net", [{}, {"a": 1}, {1: torch.zeros(1)}, None, [1]])
def test_a_container_without_tensors_is_refused(net: Any) -> None:
    with pytest.raises(CheckpointError, match="holds neither a flat table"):
        recognised({"net": net, "epoch": 1}, "x.pth")


def test_others_are_left_to_others() -> None:
    other = {"class_embed.layers.2.weight": torch.zeros(2, 256)}
    assert own.recognise(opened(other, "net.pth")) is None
    headless = {key: value for key, value in tensors(2).items() if key not in own.MARKS}
    assert own.recognise(opened(headless, "net.pth")) is None
    without = {key: value for key, value in tensors(2).items() if not key.startswith("backbone")}
    assert own.recognise(opened(without, "net.pth")) is None


class Constructor:
    """What an object of the authors' code might do while it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_the_pickled_constructor_is_left_out(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "transt.pth"
    torch.manual_seed(0)
    net = TransTNetwork(2).state_dict()
    with authors_code(
        ltr__admin__model_constructor__NetConstructor=object, ltr__admin__settings__Settings=object
    ) as code:
        constructor = code["NetConstructor"]()
        constructor.kwds = {"settings": code["Settings"]()}
        content = {"epoch": 1000, "net_type": "TransT", "net": net, "constructor": constructor}
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    checkpoint = checkpoints.load(path)
    assert (checkpoint.architecture, checkpoint.config) == ("transt", {"layers": 2})
    assert checkpoint.tensors.keys() == net.keys()
    assert all(torch.equal(checkpoint.tensors[name], net[name]) for name in net)


def test_a_constructor_that_would_run_something_is_refused(tmp_path: Path) -> None:
    path, made = tmp_path / "transt.pth", tmp_path / "made"
    with torch.device("cpu"):
        net = {"input_proj.weight": torch.zeros(1)}
    torch.save({"net": net, "constructor": Constructor(made)}, path)
    with pytest.raises(CheckpointError, match="cannot be read safely"):
        checkpoints.load(path)
    assert not made.exists()
