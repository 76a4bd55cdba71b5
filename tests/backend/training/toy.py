"""A small task in earnest: a convolutional network finds bright discs on synthetic pictures.

`python -m tests.backend.training.toy RECIPE OUT [STEPS]` trains it, as `torchrun` and the tests of
kills do.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.training.distributed import world_of
from backend.training.loop import train
from backend.training.recipe import Inputs, Optimiser, Recipe, Schedule
from backend.training.settings import RunSettings
from backend.training.task import Losses, ParameterGroup, Pictures, Share, Task
from models import checkpoints

SIDE = 16


@dataclass(frozen=True)
class ToyBatch:
    """`images` float32 [B, 1, S, S]; `masks` the same of 0 and 1; `numbers` int64 [B]."""

    images: Tensor
    masks: Tensor
    numbers: Tensor


class ToyNetwork(nn.Module):
    """Two convolutions, with a batch norm and dropout between them where asked for."""

    def __init__(self, *, norm: bool, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8) if norm else nn.Identity()
        self.dropout = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        features = self.dropout(functional.relu(self.norm(self.stem(images))))
        logits: Tensor = self.head(features)
        return logits


def sample(seed: int, number: int) -> tuple[Tensor, Tensor]:
    """A noisy picture with one brighter disc, and the disc."""
    rng = np.random.default_rng((seed, number))
    rows, columns = np.mgrid[:SIDE, :SIDE]
    row, column, radius = rng.uniform(4, 12), rng.uniform(4, 12), rng.uniform(2, 4)
    mask = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    image = rng.normal(0.0, 0.3, (SIDE, SIDE)) + mask
    return torch.from_numpy(image[None]).float(), torch.from_numpy(mask[None]).float()


class ToyTask(Task[ToyBatch]):
    """`poison` names steps whose loss is NaN; `seen` collects the numbers of all samples."""

    unused_parameters = False

    def __init__(self, recipe: Recipe, inputs: Inputs) -> None:
        self.seed = recipe.seed
        settings = recipe.settings
        self.network = ToyNetwork(
            norm=bool(settings.get("norm")), dropout=float(settings.get("dropout", 0.0))
        ).to(inputs.device)
        if inputs.weights is not None:
            kept = checkpoints.load_for(recipe.architecture, inputs.weights)
            self.network.load_state_dict(dict(kept.tensors))
        self.poison = range(*settings.get("poison", (0, 0)))
        self.seen: list[int] = []
        self.inputs = inputs

    def groups(self) -> Sequence[ParameterGroup]:
        head = list(self.network.head.parameters())
        chosen = {id(parameter) for parameter in head}
        rest = [entry for entry in self.network.parameters() if id(entry) not in chosen]
        return [ParameterGroup("stem", rest, rate=0.5), ParameterGroup("head", head, decay=False)]

    def batches(self, start: int, share: Share, device: torch.device) -> Iterator[ToyBatch]:
        number = start
        while True:
            numbers = share.samples(number)
            images, masks = zip(*(sample(self.seed, entry) for entry in numbers), strict=True)
            yield ToyBatch(torch.stack(images), torch.stack(masks), torch.tensor(list(numbers)))
            number += 1

    def losses(self, network: nn.Module, batch: ToyBatch, step: int) -> Losses:
        self.seen += batch.numbers.tolist()
        logits = network(batch.images).float()
        cross = functional.binary_cross_entropy_with_logits(logits, batch.masks)
        chance = 0.01 * (torch.rand(()) * logits).mean() if self.network.dropout.p else 0 * cross
        if step in self.poison:
            cross = cross * float("nan")
        sizes = (logits.sigmoid() - batch.masks).mean((1, 2, 3)).abs()
        return {"cross": cross, "size": 0.1 * sizes.mean() + chance}

    def pictures(self, batch: ToyBatch) -> Pictures:
        shown = torch.cat([batch.images, batch.masks, self.network(batch.images).sigmoid()], 3)
        pixels = (shown[:2].clamp(0, 1) * 255).byte().cpu()
        return pixels.permute(0, 2, 3, 1).expand(-1, -1, -1, 3).numpy()

    def measure(self, network: nn.Module) -> Mapping[str, float]:
        images, masks = zip(*(sample(self.seed + 1, number) for number in range(16)), strict=True)
        device = next(network.parameters()).device
        found = network(torch.stack(images).to(device)) > 0
        truth = torch.stack(masks).to(device) > 0
        return {"iou": ((found & truth).sum() / (found | truth).sum()).item()}

    def describe(self) -> Mapping[str, Any]:
        return {"pictures": "synthetic", "side": SIDE}


PLAIN = Recipe(
    name="toy",
    architecture="toy",
    summary="a small network for discs",
    task=ToyTask,
    steps=12,
    batch=4,
    optimiser=Optimiser("adam", rate=1e-2),
    schedule=Schedule("cosine", warm_up=2),
    ema=0.9,
)
NORMED = replace(
    PLAIN,
    optimiser=Optimiser("adamw", rate=1e-2, weight_decay=0.01),
    clip_norm=1.0,
    settings={"norm": True, "dropout": 0.2},
)
RECIPES = {
    "plain": PLAIN,
    "constant": replace(PLAIN, schedule=Schedule()),
    "normed": NORMED,
    "scaled": replace(NORMED, precision="float16"),
}


def main(recipe: str, out: str, steps: str, *options: str) -> None:
    """Train for so many steps; `options` are names and values of the run's settings.

    Each process leaves the numbers of its samples in `seen-RANK.json`.
    """
    given: dict[str, Any] = {
        name: float(value) if "." in value else int(value)
        for name, value in zip(options[::2], options[1::2], strict=True)
    }
    made: list[ToyTask] = []

    def remembered(recipe: Recipe, inputs: Inputs) -> ToyTask:
        made.append(ToyTask(recipe, inputs))
        return made[-1]

    train(
        replace(RECIPES[recipe], steps=int(steps), task=remembered),
        [Path(__file__)],
        Path(out),
        RunSettings(device="cpu", log_steps=1, **given),
        world=world_of(os.environ),
    )
    rank = world_of(os.environ).rank
    (Path(out) / f"seen-{rank}.json").write_text(json.dumps(made[0].seen))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
