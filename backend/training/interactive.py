"""The task that trains networks for clicks: RITM's iterative training, and what others made of it.

One task for RITM, f-BRS, FocalClick, ClickAttention and SimpleClick. Their networks are called
alike, `network(images, points, previous)`, and give out named tuples; what differs is settings:
how samples are made, how many answers are simulated, which losses count, which parameters learn
how fast. FocalClick's network takes a fourth argument, the close views for its refiner.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

import models
from backend.errors import InvalidRequest
from backend.training.adaptive_iou import AdaptiveIoU
from backend.training.click_rounds import Rounds, simulated
from backend.training.data.opening import open_sources
from backend.training.data.source import Source
from backend.training.example_pictures import drawn
from backend.training.focus import into_view
from backend.training.interactive_data import (
    FocusBatch,
    InteractiveBatch,
    Samples,
    Sampling,
    batches,
    joined,
)
from backend.training.loss_terms import TERMS
from backend.training.recipe import Inputs, Recipe
from backend.training.start_weights import Backbone, gluon_xavier, start_from
from backend.training.task import Losses, ParameterGroup, Pictures, Share, Task
from backend.training.validation import Validation, measured
from models.focalclick_network import Focus

POOLED = ("ocr_distri_head.", "aspp.")
"""Parts of networks that normalise one vector a picture: a batch of one has no deviation."""

EXAMPLES = 4
"""Samples in a picture for TensorBoard."""


@dataclass(frozen=True)
class InteractiveSettings:
    """What is trained in which way, beside the optimiser.

    `losses` are names of `loss_terms.TERMS` with their weights. `rates` multiply the learning rate
    of the parameters whose names begin so: the first entry that fits, 1 where none does.
    `backbone` says where pre-trained tensors belong. `initial` is how fresh weights are drawn:
    gluon's Xavier, or the network's own way. Plain values and dataclasses of such.
    """

    sampling: Sampling
    losses: Mapping[str, float]
    backbone: Backbone
    rounds: Rounds = field(default_factory=Rounds)
    rates: Mapping[str, float] = field(default_factory=dict)
    initial: Literal["xavier", "own"] = "xavier"


class InteractiveTask(Task[InteractiveBatch]):
    """Samples with clicks, simulated rounds of interaction, one pass to learn from."""

    def __init__(
        self,
        network: nn.Module,
        source: Source,
        settings: InteractiveSettings,
        *,
        seed: int,
        device: torch.device,
        workers: int = 0,
        architecture: str = "",
        start: str = "fresh weights",
        validation: Validation | None = None,
    ) -> None:
        if unknown := settings.losses.keys() - TERMS.keys():
            raise ValueError(f"there are no losses {sorted(unknown)}; known are {sorted(TERMS)}")
        self.network = network.to(device)
        self.settings = settings
        self.metric = AdaptiveIoU(device)
        self._source, self._seed, self._workers = source, seed, workers
        self._architecture, self._start, self._validation = architecture, start, validation

    def groups(self) -> Sequence[ParameterGroup]:
        """One group for each multiplier of the learning rate."""
        found: dict[float, list[nn.Parameter]] = {}
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad:
                found.setdefault(self._rate(name), []).append(parameter)
        return [
            ParameterGroup(f"x{rate:g}", parameters, rate)
            for rate, parameters in sorted(found.items())
        ]

    def _rate(self, name: str) -> float:
        rates = self.settings.rates.items()
        return next((rate for prefix, rate in rates if name.startswith(prefix)), 1.0)

    def batches(self, start: int, share: Share, device: torch.device) -> Iterator[InteractiveBatch]:
        """See `Task.batches`. Raises InvalidRequest for a batch too small to be normalised."""
        if share.size == 1 and self._normalises_pooled():
            raise InvalidRequest(
                "this network's batch norms need two samples a process and part: give a larger"
                " --batch, or a smaller --accumulate",
                field="batch",
            )
        samples = Samples(self._source, self.settings.sampling, self._seed)
        yield from batches(samples, start, share, self._workers, joined)

    def _normalises_pooled(self) -> bool:
        """Whether a batch norm sees one value a picture and channel, in this process alone."""
        return any(
            isinstance(module, nn.BatchNorm2d) and any(part in f"{name}." for part in POOLED)
            for name, module in self.network.named_modules()
        )

    def losses(self, network: nn.Module, batch: InteractiveBatch, step: int) -> Losses:
        """See `Task.losses`."""
        images = scaled(batch.images)
        points, previous = simulated(
            self.network, images, batch.labels, batch.points, self.settings.rounds
        )
        if batch.focus is None:
            outputs = network(images, points, previous)
        else:
            outputs = network(images, points, previous, viewed(batch.focus, points))
        self.metric.update(outputs.instances.detach(), batch.labels)
        return {
            name: weight * TERMS[name](outputs, batch)
            for name, weight in self.settings.losses.items()
        }

    def pictures(self, batch: InteractiveBatch) -> Pictures:
        """Sample with clicks and truth, previous mask, answer."""
        part = batch.first(EXAMPLES)
        images = scaled(part.images)
        points, previous = simulated(
            self.network, images, part.labels, part.points, self.settings.rounds
        )
        probabilities = self.network(images, points, previous).instances.float().sigmoid()
        return drawn(part.images, part.labels, points, previous, probabilities)

    def measure(self, network: nn.Module) -> Mapping[str, float]:
        """The IoU in training, and NoC on the validation sets where some were named."""
        found = {"train_iou": self.metric.value, "train_iou_threshold": self.metric.threshold}
        if self._validation is not None:
            found |= measured(self._architecture, network, self._validation)
        return found

    def describe(self) -> Mapping[str, Any]:
        """What is drawn from, and what the network began with."""
        return {"pictures": len(self._source), "start": self._start}


@dataclass(frozen=True)
class Interactive:
    """Makes the task of a recipe, on the data and with the weights that the user gave."""

    settings: InteractiveSettings

    def __call__(self, recipe: Recipe, inputs: Inputs) -> InteractiveTask:
        """Raises InvalidRequest for data or weights that do not fit.

        Fresh weights are drawn from torch's global generator.
        """
        network = models.create(recipe.architecture)
        if self.settings.initial == "xavier":
            gluon_xavier(network)
        start = "fresh weights"
        if inputs.weights is not None:
            backbone = self.settings.backbone
            start = start_from(network, recipe.architecture, inputs.weights, backbone)
        validation = None
        if inputs.validation:
            validation = Validation(inputs.validation, device=str(inputs.device))
            validation.check()
        return InteractiveTask(
            network,
            open_sources(inputs.data),
            self.settings,
            seed=recipe.seed,
            device=inputs.device,
            workers=inputs.workers,
            architecture=recipe.architecture,
            start=start,
            validation=validation,
        )


def scaled(images: Tensor) -> Tensor:
    """uint8 -> float32 in [0, 1]; the networks take out mean and deviation themselves."""
    return images.float() / 255


def viewed(focus: FocusBatch, points: Tensor) -> Focus:
    """Close views as FocalClick's network takes them, with the clicks made so far."""
    height, width = focus.images.shape[-2:]
    return Focus(
        scaled(focus.images), into_view(points, focus.regions, (height, width)), focus.regions
    )
