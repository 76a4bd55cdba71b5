"""How the networks of the zoo are asked alike, and the digests of their authors' state dicts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models import zoo
from models.mobilesam_network import EncodedPrompt, MobileSam

DIGESTS: Mapping[str, Mapping[str, Any]] = json.loads(
    (Path(__file__).parent / "manifests.json").read_text()
)
"""Of every architecture: how many tensors its authors' state dict has, and the digest of them."""

GOLDENS = {
    "mobilesam": "mobilesam/manifest.json",
    "ritm-hrnet18s": "ritm_hrnet18s/manifest.json",
    "ritm-hrnet18": "ritm_hrnet18/manifest.json",
    "ritm-hrnet32": "ritm_hrnet32/manifest.json",
    "fbrs-resnet34": "fbrs_resnet34/manifest.json",
    "fbrs-resnet50": "fbrs_resnet50/manifest.json",
    "fbrs-resnet101": "fbrs_resnet101/manifest.json",
    "fbrs-hrnet18": "fbrs_hrnet18_ocr/manifest.json",
    "fbrs-hrnet32": "fbrs_hrnet32_ocr/manifest.json",
    "focalclick-segformerb0-s1": "focalclick_segformerb0_s1/manifest.json",
    "focalclick-segformerb0-s2": "focalclick_segformerb0_s2/manifest.json",
    "focalclick-segformerb3-s2": "focalclick_segformerb3_s2/manifest.json",
    "focalclick-hrnet18s-s1": "focalclick_hrnet18s_s2/manifest.json",
    "focalclick-hrnet18s-s2": "focalclick_hrnet18s_s2/manifest.json",
    "focalclick-hrnet32-s2": "manifests/focalclick_hrnet32_s2.json",
    "clickattention-b0-s2": "clickattention_b0s2/manifest.json",
    "clickattention-b3-s2": "clickattention_b3s2/manifest.json",
    "simpleclick-vit-b": "simpleclick_vit_b/manifest.json",
    "simpleclick-vit-l": "manifests/simpleclick_vit_l.json",
    "simpleclick-vit-h": "manifests/simpleclick_vit_h.json",
    "s2m": "s2m/manifest.json",
    "transt": "transt/manifest.json",
}
"""Where the manifests lie among the golden cases. S1 and S2 are one network, asked differently."""

SMALL: Mapping[str, Mapping[str, Any]] = {
    "MobileSAM": {"input_side": 256},
    "RITM": {"first_click_side": 128, "zoom_target": 96},
    "f-BRS": {"first_click_side": 128, "zoom_target": 96},
    "FocalClick": {"infer_size": 128},
    "ClickAttention": {"infer_size": 128},
    "SimpleClick": {"input_side": 224},
    "S2M": {"picture_side": 128},
}
"""Options under which a system is quick; all other systems are so already."""


def smallest() -> set[str]:
    """The name with the fewest values of every system of segmenters."""
    by_system: dict[str, zoo.Architecture] = {}
    for entry in zoo.SEGMENTERS.values():
        least = by_system.setdefault(entry.system, entry)
        if entry.parameters < least.parameters:
            by_system[entry.system] = entry
    return {entry.name for entry in by_system.values()}


def digest(tensors: Iterable[tuple[str, str, Iterable[int]]]) -> dict[str, Any]:
    """Count and sha256 of (name, dtype, shape) of tensors in any order."""
    lines = sorted(f"{name} {dtype} {list(shape)}" for name, dtype, shape in tensors)
    text = "\n".join(lines)
    return {"tensors": len(lines), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def of_network(network: nn.Module) -> dict[str, Any]:
    """The digest of a network's state dict."""
    return digest(
        (name, str(tensor.dtype).removeprefix("torch."), tensor.shape)
        for name, tensor in network.state_dict().items()
    )


def of_manifest(path: Path) -> dict[str, Any]:
    """The digest of a manifest: a table of tensors, alone or beside a configuration."""
    document = json.loads(path.read_text())
    tensors = document["tensors"] if "class" in document else document
    return digest((name, entry["dtype"], entry["shape"]) for name, entry in tensors.items())


def forward(entry: zoo.Architecture) -> tuple[nn.Module, Tensor]:
    """A fresh network and its logits for two small random pictures with a click each."""
    side = 256 if entry.system == "MobileSAM" else 224 if entry.system == "SimpleClick" else 128
    image = torch.rand(2, 3, side, side)
    if entry.system == "MobileSAM":
        sam = MobileSam(side)
        points, labels = torch.full((2, 1, 2), side / 2), torch.ones(2, 1)
        return sam, sam.decode(sam.encode(image), EncodedPrompt(points, labels)).logits
    network = entry.network()
    if entry.name == "maskloop":
        return network, network(image, torch.rand(2, 4, side, side)).logits
    if entry.system == "S2M":
        return network, network(torch.cat([image, torch.rand(2, 3, side, side)], dim=1))
    clicks = torch.tensor([[[40.0, 50.0, 0.0], [-1.0, -1.0, -1.0]]] * 2)
    return network, network(image, clicks).instances
