"""The seam between the loop and what is trained: a network, its batches and its losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Batch = TypeVar("Batch")
"""What a task's batches are: a tensor, or tuples, mappings and dataclasses of tensors."""

Losses = Mapping[str, Tensor]
"""Weighted scalars by name, in the order they are shown; their sum is minimised."""

Pictures = NDArray[np.uint8]
"""Example pictures, uint8 [N, H, W, 3], RGB."""


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a learning-rate multiplier.

    `rate` multiplies the recipe's learning rate. `decay` says whether the recipe's weight decay
    applies: it is usual to leave out biases and norms.
    """

    name: str
    parameters: Sequence[nn.Parameter]
    rate: float = 1.0
    decay: bool = True


@dataclass(frozen=True)
class Share:
    """Which part of the samples a process works on.

    The processes of a training are numbered `rank` 0 to `count` - 1. Each takes batches of `size`
    samples; an optimisation step takes `accumulate` of them from every process.
    """

    rank: int = 0
    count: int = 1
    size: int = 1

    def samples(self, batch: int) -> range:
        """The numbers of the samples of this share's batch number `batch`, from 0.

        All shares together count through the samples of a training without gap or repetition,
        in an order that neither the number of processes nor `accumulate` changes: what one
        process with a batch of 8 sees in a step, two with batches of 4 see as well.
        """
        first = (batch * self.count + self.rank) * self.size
        return range(first, first + self.size)


class Task(ABC, Generic[Batch]):
    """What is trained.

    The network stays in float32 on the device that the factory was given; autocast, EMA,
    gradient scaling, several processes and the optimiser are the loop's business.
    """

    network: nn.Module
    """The network itself; its `state_dict` is what is trained, kept and exported."""

    unused_parameters: bool = True
    """Whether some parameters may get no gradient in a step. False saves a little with several
    processes, and is an error there if it is not so."""

    @abstractmethod
    def groups(self) -> Sequence[ParameterGroup]:
        """All parameters to optimise, each in one group, always in the same order."""

    @abstractmethod
    def batches(self, start: int, share: Share, device: torch.device) -> Iterator[Batch]:
        """An endless stream of batches, from batch number `start` of the share on.

        Batch k is a pure function of (seed, k, share): sample number n, one of
        `share.samples(k)`, draws from a generator seeded with (seed, n) alone. So a training that
        goes on after a kill sees what it would have seen. The global generators of torch, NumPy
        and random must not be used here: this runs in a thread beside the training step.

        Tensors may be on the CPU, best in pinned memory where `device` is CUDA, or on `device`
        already; the loop moves them. Called with a CUDA stream of its own as the current one.
        """

    @abstractmethod
    def losses(self, network: nn.Module, batch: Batch, step: int) -> Losses:
        """The losses of a batch on the device, each a mean over its samples.

        `network` is `self.network` in training mode or its wrapper (several processes, compiled):
        the pass whose gradient is wanted runs through it exactly once. Passes without gradient,
        click simulation say, use `self.network` and leave it in training mode. `step` counts the
        optimisation steps from 0. Before each call the loop seeds the global generators of torch,
        NumPy and random from (seed, batch number, rank), so chance may be used here.

        Under autocast; what needs float32 (a loss of logits) converts for itself.
        """

    def pictures(self, batch: Batch) -> Pictures | None:
        """Example pictures for TensorBoard, without gradient and with `self.network` in
        evaluation mode: a few samples with prompts, truth and prediction. None for no pictures.
        """
        return None

    def measure(self, network: nn.Module) -> Mapping[str, float]:
        """Validation scalars by name, of `network` (the averaged weights) in evaluation mode,
        without gradient. Runs in the first process alone, now and then; empty by default.
        """
        return {}

    def describe(self) -> Mapping[str, Any]:
        """What the run's summary should say about the data: counts, filters, weights. Plain
        values that JSON can hold; empty by default.
        """
        return {}

    def config(self) -> Mapping[str, Any]:
        """The configuration kept beside the exported tensors (`Checkpoint.config`); most have
        none.
        """
        return {}


AnyTask = Task[Any]
"""A task, whatever its batches are."""
