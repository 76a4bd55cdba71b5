"""What trains S2M: samples with a flawed mask and strokes that correct it, and its loss.

Cheng, Tai, Tang, "Modular Interactive Video Object Segmentation", CVPR 2021, section 3.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

import models
from backend.errors import InvalidRequest
from backend.training.adaptive_iou import AdaptiveIoU
from backend.training.bootstrapping import Bootstrapping
from backend.training.data.opening import open_sources
from backend.training.data.source import Source
from backend.training.example_pictures import NEGATIVE, POSITIVE, shaded, with_outline
from backend.training.interactive_data import Samples, Sampling, batches
from backend.training.recipe import Inputs, Recipe
from backend.training.scribbles import ScribbleSampler, perturbed
from backend.training.start_weights import tensors_in
from backend.training.task import Losses, ParameterGroup, Pictures, Share, Task
from backend.training.validation import Validation, measured
from models import checkpoints
from models.s2m_network import INPUTS, S2mNetwork
from models.s2m_predictor import MEAN, STD

STEM = "backbone.conv1.weight"
LAST = "classifier.classifier.3."
EXAMPLES = 4


@dataclass(frozen=True)
class S2mSettings:
    """How samples are made. With probability `from_nothing` there is no previous mask."""

    sampling: Sampling
    from_nothing: float = 0.33
    scribbles: ScribbleSampler = field(default_factory=ScribbleSampler)
    bootstrapping: Bootstrapping = field(default_factory=Bootstrapping)


@dataclass(frozen=True)
class S2mBatch:
    """`images` uint8 [B, 3, H, W] RGB, `labels` int8 [B, 1, H, W] of 1, 0 and -1 (unknown).

    `told` uint8 [B, 3, H, W] of 0 and 1: previous mask, positive and negative strokes.
    """

    images: Tensor
    labels: Tensor
    told: Tensor


class S2mSamples(Dataset[S2mBatch]):
    """Sample number n, as a batch of one: a function of the source, the seed and n alone."""

    def __init__(self, source: Source, settings: S2mSettings, seed: int) -> None:
        self._samples = Samples(source, settings.sampling, seed)
        self._settings, self._seed = settings, seed

    def __getitem__(self, number: int) -> S2mBatch:
        """Raises as `Samples` does."""
        one = self._samples[number]
        rng = np.random.default_rng((self._seed, number, 1))
        labels = one.labels[0, 0].numpy()
        truth, known = labels == 1, labels >= 0
        previous = np.zeros_like(truth)
        if rng.random() >= self._settings.from_nothing:
            previous = perturbed(truth, rng) & known
        strokes = self._settings.scribbles.sample(truth, previous, rng) * known
        told = np.concatenate([previous[None], strokes]).astype(np.uint8)
        return S2mBatch(one.images, one.labels, torch.from_numpy(told)[None])


def joined(parts: Sequence[S2mBatch]) -> S2mBatch:
    """Batches as one."""
    return S2mBatch(
        torch.cat([part.images for part in parts]),
        torch.cat([part.labels for part in parts]),
        torch.cat([part.told for part in parts]),
    )


def network_input(batch: S2mBatch) -> Tensor:
    """What the network sees of a batch: float32 [B, 6, H, W]."""
    mean, std = (batch.images.new_tensor(values, dtype=torch.float32) for values in (MEAN, STD))
    images = (batch.images.float() / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    return torch.cat([images, batch.told.float()], dim=1)


class S2mTask(Task[S2mBatch]):
    """One pass a sample: a mask, its correction in strokes, and the truth."""

    unused_parameters = False

    def __init__(
        self,
        network: S2mNetwork,
        source: Source,
        settings: S2mSettings,
        *,
        seed: int,
        device: torch.device,
        workers: int = 0,
        start: str = "fresh weights",
        validation: Validation | None = None,
    ) -> None:
        self.network = network.to(device)
        self.settings = settings
        self.metric = AdaptiveIoU(device)
        self._source, self._seed, self._workers = source, seed, workers
        self._start, self._validation = start, validation

    def groups(self) -> Sequence[ParameterGroup]:
        """All parameters alike."""
        return [ParameterGroup("all", list(self.network.parameters()))]

    def batches(self, start: int, share: Share, device: torch.device) -> Iterator[S2mBatch]:
        """See `Task.batches`. Raises InvalidRequest for a batch too small to be normalised."""
        if share.size == 1:
            raise InvalidRequest(
                "S2M's batch norms need two samples a process and part: give a larger --batch, or"
                " a smaller --accumulate",
                field="batch",
            )
        samples = S2mSamples(self._source, self.settings, self._seed)
        yield from batches(samples, start, share, self._workers, joined)

    def losses(self, network: nn.Module, batch: S2mBatch, step: int) -> Losses:
        """See `Task.losses`."""
        logits = network(network_input(batch)).float()
        self.metric.update(logits.detach(), batch.labels)
        loss = self.settings.bootstrapping.loss(logits, batch.labels, step)
        return {"cross-entropy": loss}

    def pictures(self, batch: S2mBatch) -> Pictures:
        """Sample with strokes and truth, previous mask, answer, side by side."""
        part = S2mBatch(*(x[:EXAMPLES] for x in (batch.images, batch.labels, batch.told)))
        answers = (2 * self.network(network_input(part)).float()).sigmoid()
        rows = []
        for image, label, told, answer in zip(
            part.images, part.labels, part.told.cpu(), answers, strict=True
        ):
            seen = np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
            drawn = with_outline(seen, label[0] == 1)
            for plane, colour in zip(told[1:].numpy(), (POSITIVE, NEGATIVE), strict=True):
                drawn[cv2.dilate(plane, np.ones((3, 3), np.uint8)) > 0] = colour
            rows.append(np.concatenate([drawn, shaded(seen, told[0]), shaded(seen, answer[0])], 1))
        return np.stack(rows)

    def measure(self, network: nn.Module) -> Mapping[str, float]:
        """The IoU in training, and NoC on the validation sets where some were named."""
        found = {"train_iou": self.metric.value, "train_iou_threshold": self.metric.threshold}
        if self._validation is not None:
            found |= measured("s2m", network, self._validation)
        return found

    def describe(self) -> Mapping[str, Any]:
        """What is drawn from, and what the network began with."""
        return {"pictures": len(self._source), "start": self._start}


@dataclass(frozen=True)
class Scribbling:
    """Makes the task of a recipe, on the data and with the weights that the user gave."""

    settings: S2mSettings

    def __call__(self, recipe: Recipe, inputs: Inputs) -> S2mTask:
        """Raises InvalidRequest for data or weights that do not fit.

        Fresh weights are drawn from torch's global generator.
        """
        network = models.create(recipe.architecture)
        assert isinstance(network, S2mNetwork)  # noqa: S101 - what the zoo says of "s2m"
        start = "fresh weights" if inputs.weights is None else start_from(network, inputs.weights)
        validation = None
        if inputs.validation:
            validation = Validation(inputs.validation, device=str(inputs.device))
            validation.check()
        return S2mTask(
            network,
            open_sources(inputs.data),
            self.settings,
            seed=recipe.seed,
            device=inputs.device,
            workers=inputs.workers,
            start=start,
            validation=validation,
        )


def start_from(network: S2mNetwork, file: Path) -> str:
    """Give the network the weights in `file`; says what they were, in words.

    `file` holds an S2M, a DeepLabV3+ on ResNet-50 with the same names (that of
    VainF/DeepLabV3Plus-Pytorch, where the authors begin), or a ResNet-50 of torchvision. The stem's
    channels for the mask and the strokes are then fresh and orthogonal, and so is the last layer.
    Raises InvalidRequest for anything else.
    """
    try:
        whole = checkpoints.load_for("s2m", file)
    except checkpoints.CheckpointError as error:
        reason = str(error)
    else:
        network.load_state_dict(dict(whole.tensors))
        return f"all weights of {file.name}"
    fitting = _fitting(network, tensors_in(file) or {})
    if STEM not in fitting:
        raise InvalidRequest(
            f"{file.name} is neither an S2M ({reason}) nor a ResNet-50, alone or in a DeepLabV3+",
            field="weights",
        )
    added = nn.init.orthogonal_(torch.empty(64, INPUTS - 3, 7, 7))
    fitting[STEM] = torch.cat([fitting[STEM], added], dim=1)
    network.load_state_dict(fitting, strict=False)
    last = network.get_submodule(LAST.rstrip("."))
    assert isinstance(last, nn.Conv2d) and last.bias is not None  # noqa: S101 - see Classifier
    nn.init.orthogonal_(last.weight)
    nn.init.zeros_(last.bias)
    return f"{len(fitting)} tensors of {file.name}"


def _fitting(network: S2mNetwork, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that have a place in the network, the stem's still for three channels."""
    prefix = "" if STEM in tensors else "backbone."
    shapes = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    shapes[STEM] = [64, 3, 7, 7]
    return {
        prefix + name: tensor
        for name, tensor in tensors.items()
        if shapes.get(prefix + name) == list(tensor.shape) and not (prefix + name).startswith(LAST)
    }
