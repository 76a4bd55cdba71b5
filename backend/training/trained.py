"""What changes while training: weights, their average, the optimiser's and the scaler's state."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from backend.errors import InvalidRequest
from backend.training.ema import AveragedWeights


class Trained:
    """The state of a training that a checkpoint holds."""

    def __init__(
        self,
        network: nn.Module,
        average: AveragedWeights | None,
        optimiser: Optimizer,
        scaler: GradScaler,
    ) -> None:
        self.network = network
        self.average = average
        self.optimiser = optimiser
        self.scaler = scaler

    @property
    def best(self) -> nn.Module:
        """The network that is measured and exported: the averaged one, where there is one."""
        return self.network if self.average is None else self.average.network

    def content(self) -> dict[str, Any]:
        """The state as tensors and plain values."""
        average = self.average
        return {
            "network": self.network.state_dict(),
            "average": None if average is None else average.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, content: Mapping[str, Any]) -> None:
        """Take up the state of a checkpoint. Raises InvalidRequest where it does not fit."""
        try:
            self.network.load_state_dict(content["network"])
            if self.average is not None:
                kept = content["average"]
                self.average.network.load_state_dict(content["network"] if kept is None else kept)
            self.optimiser.load_state_dict(content["optimiser"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise InvalidRequest(
                f"the checkpoint does not fit the recipe's network ({str(error)[:300]}); begin in"
                " a new --out",
                field="out",
            ) from None
        if self.scaler.is_enabled() and content["scaler"]:
            self.scaler.load_state_dict(content["scaler"])


@contextlib.contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode and without gradient; afterwards each module is as before."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
