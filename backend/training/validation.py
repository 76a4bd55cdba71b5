"""Clicks per object while training, by the protocol that published numbers use."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

import models
from backend.evaluation.layouts import open_dataset
from backend.evaluation.run import Protocol, evaluate
from backend.evaluation.summary import NOC_TARGETS, summarise
from models import checkpoints
from models.checkpoints import Checkpoint

NAME = "training"
"""Of the weights under test, after the `@`."""


@dataclass(frozen=True)
class Validation:
    """What is clicked on: at most `objects` of every set, at most `clicks` times.

    `sets` are folders that `evaluate` knows. Clicking on an object ends at the highest IoU that is
    asked for. `device` is where the network answers.
    """

    sets: tuple[Path, ...]
    objects: int = 50
    clicks: int = 20
    device: str = "cpu"

    def check(self) -> None:
        """Raise as `open_dataset` does for a path that holds no evaluation set."""
        for root in self.sets:
            open_dataset(root)


def measured(architecture: str, network: nn.Module, validation: Validation) -> Mapping[str, float]:
    """NoC at each target, and the mean IoU after one and three clicks, by set.

    The network's weights go through a file, so what is measured is what would be served. Raises
    as `open_dataset` and `evaluate` do.
    """
    tensors = {name: value.detach().cpu() for name, value in network.state_dict().items()}
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        checkpoints.save(Checkpoint(architecture, tensors, weights=NAME), path)
        segmenter = models.segmenter(architecture, weights=path, device=validation.device)
        protocol = Protocol(clicks=validation.clicks, until=max(NOC_TARGETS) / 100)
        for root in validation.sets:
            dataset = open_dataset(root).limited(validation.objects)
            summary = summarise(evaluate(segmenter, dataset, protocol))
            for target, clicks in summary.noc.items():
                found[f"{dataset.name}/noc@{target}"] = clicks
            for count in (1, 3):
                if count <= len(summary.miou):
                    found[f"{dataset.name}/iou_after_{count}"] = summary.miou[count - 1]
    return found
