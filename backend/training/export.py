"""The trained weights as files of ours, which every command here can use."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from backend.training.checkpoint import in_half
from backend.training.task import AnyTask
from models import checkpoints
from models.checkpoints import Checkpoint

WEIGHTS = "weights.safetensors"
HALF = "weights-half.safetensors"


def export(
    out: Path, task: AnyTask, network: nn.Module, architecture: str, name: str, *, half: bool
) -> list[Path]:
    """Write the weights of `network` in float32, and with `half` in float16 as well."""
    tensors = {key: value.detach().cpu() for key, value in network.state_dict().items()}
    files = {WEIGHTS: tensors}
    if half:
        files[HALF] = in_half(tensors)
    for file, content in files.items():
        unfinished = out / f"{file}.part"
        checkpoints.save(Checkpoint(architecture, content, task.config(), name), unfinished)
        unfinished.chmod(0o644)  # the library gives it to its owner alone
        unfinished.replace(out / file)
    return [out / file for file in files]


def not_finite(network: nn.Module) -> list[str]:
    """The names of tensors that hold infinities or NaN."""
    return [
        name
        for name, tensor in network.state_dict().items()
        if tensor.is_floating_point() and not torch.isfinite(tensor).all()
    ]
