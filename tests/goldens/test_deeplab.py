"""DeepLab's tensors against the authors' state dicts, at every depth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from models.heads.deeplab import DeepLabV3Plus, SeparableHead
from tests.goldens.cases import Case, cases, parametrize


def is_deeplab(document: Mapping[str, Any]) -> bool:
    return "deeplab_ch" in document.get("factory_kwargs", {})


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    parametrize(metafunc, "case", cases(metafunc.config, is_deeplab))


def test_tensors_are_the_authors(case: Case) -> None:
    kwargs = case.document["factory_kwargs"]
    depth = int(kwargs["backbone"].removeprefix("resnet"))
    channels = kwargs["deeplab_ch"]
    with torch.device("meta"):
        extractor = DeepLabV3Plus(depth, channels, kwargs["aspp_dropout"])
        both = nn.ModuleDict({"feature_extractor": extractor, "head": SeparableHead(channels)})
    ours = {name: list(tensor.shape) for name, tensor in both.state_dict().items()}
    manifest = json.loads((case.folder / "manifest.json").read_text())
    theirs = {name: entry["shape"] for name, entry in manifest.items()}
    fusion = {name for name in theirs if name.startswith("rgb_conv.")}
    assert ours == {name: shape for name, shape in theirs.items() if name not in fusion}
