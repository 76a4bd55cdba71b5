"""One optimisation step: forward and backward passes in mixed precision, and the update.

A step whose gradient is not finite changes no parameter. That is decided on the device, so that
the processor never waits for it; `Tally` counts such steps and tells when it is looked at.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from backend.training import distributed
from backend.training.chance import seed_all
from backend.training.distributed import World
from backend.training.optimisation import gradient_norm
from backend.training.recipe import Precision
from backend.training.task import AnyTask, Losses

DTYPES: Mapping[Precision, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True)
class Progress:
    """What happened in some steps, as plain numbers.

    `losses` are means over the steps in which they were finite, in the task's order. `norm` is the
    mean norm of the gradient before it was clipped. `skipped` steps changed nothing, the last
    `streak` of all steps among them; `not_finite` are the losses that were not, by name.
    """

    steps: int
    losses: Mapping[str, float]
    norm: float
    skipped: int
    streak: int
    not_finite: Sequence[str]

    @property
    def total(self) -> float:
        """The sum of the losses, which is what is minimised."""
        return sum(self.losses.values())


@dataclass
class Tally:
    """Sums on the device, read now and then in one go."""

    names: tuple[str, ...]
    device: torch.device
    steps: int = 0
    _sums: Tensor = field(init=False)
    _finite: Tensor = field(init=False)
    _norm: Tensor = field(init=False)
    _skipped: Tensor = field(init=False)
    _streak: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self._streak = torch.zeros((), device=self.device)
        self._clear()

    def add(self, losses: Tensor, norm: Tensor, skipped: Tensor) -> None:
        """Count a step: its losses [names], the gradient's norm, and 1.0 if it was skipped."""
        finite = torch.isfinite(losses)
        self._sums += torch.where(finite, losses, 0.0)
        self._finite += finite
        self._norm += torch.where(skipped > 0, 0.0, norm)
        self._skipped += skipped
        self._streak = (self._streak + 1) * skipped
        self.steps += 1

    def read(self, world: World) -> Progress:
        """What was counted since the last reading; all processes read together."""
        sums = distributed.mean_over(torch.cat([self._sums, self._finite]), world).tolist()
        norm, skipped, streak = torch.stack([self._norm, self._skipped, self._streak]).tolist()
        count = len(self.names)
        finite = sums[count:]
        losses = {
            name: sums[place] / finite[place] if finite[place] else float("nan")
            for place, name in enumerate(self.names)
        }
        bad = [name for place, name in enumerate(self.names) if finite[place] < self.steps - 1e-6]
        good = self.steps - skipped
        progress = Progress(
            self.steps,
            losses,
            norm / good if good else float("nan"),
            int(skipped),
            int(streak),
            bad,
        )
        self._clear()
        return progress

    def _clear(self) -> None:
        self.steps = 0
        self._sums = torch.zeros(len(self.names), device=self.device)
        self._finite = torch.zeros(len(self.names), device=self.device)
        self._norm = torch.zeros((), device=self.device)
        self._skipped = torch.zeros((), device=self.device)


class Stepper:
    """Makes optimisation steps of a task's network, or of its wrapper for several processes."""

    def __init__(
        self,
        task: AnyTask,
        network: nn.Module,
        optimiser: Optimizer,
        scaler: GradScaler,
        *,
        precision: Precision,
        clip_norm: float | None,
        seed: int,
        world: World,
        device: torch.device,
    ) -> None:
        self._task = task
        self._network = network
        self._optimiser = optimiser
        self._clip_norm = clip_norm
        self._seed = seed
        self._world = world
        self._device = device
        self._dtype = DTYPES[precision]
        self._scaler = scaler
        self._parameters = [
            parameter for group in optimiser.param_groups for parameter in group["params"]
        ]
        self.tally: Tally | None = None

    def step(self, number: int, parts: Sequence[Any]) -> None:
        """Step `number`, from 0: the parts of its batch one after the other, then the update."""
        self._optimiser.zero_grad(set_to_none=True)
        sums: Tensor | None = None
        for place, part in enumerate(parts):
            last = place == len(parts) - 1
            between = contextlib.nullcontext() if last else self._unsynchronised()
            with between:
                losses = self._backward(number, number * len(parts) + place, part, len(parts))
            sums = losses if sums is None else sums + losses
        if sums is None or self.tally is None:
            raise ValueError(f"step {number} was given no batch")
        norm, skipped = self._update()
        self.tally.add(sums / len(parts), norm, skipped)

    def _backward(self, number: int, batch: int, part: Any, parts: int) -> Tensor:
        """Add the gradient of one part; gives its losses [names], detached."""
        seed_all(self._seed, batch, self._world.rank)
        half = self._dtype is not torch.float32
        with torch.autocast(self._device.type, dtype=self._dtype, enabled=half):
            losses = self._task.losses(self._network, part, number)
        stacked = self._stacked(losses)
        self._scaler.scale(stacked.sum() / parts).backward()  # type: ignore[no-untyped-call]
        return stacked.detach()

    def _stacked(self, losses: Losses) -> Tensor:
        names = tuple(losses)
        if self.tally is None:
            self.tally = Tally(names, self._device)
        elif names != self.tally.names:
            raise ValueError(f"the losses were {self.tally.names} and now are {names}")
        return torch.stack([loss.float() for loss in losses.values()])

    def _update(self) -> tuple[Tensor, Tensor]:
        """Change the parameters if the gradient is finite; its norm, and 1.0 if they were not."""
        self._scaler.unscale_(self._optimiser)
        norm = gradient_norm(self._parameters, self._clip_norm)
        skipped = (~torch.isfinite(norm)).float()
        if self._scaler.is_enabled():
            self._scaler.step(self._optimiser)
            self._scaler.update()
        else:
            # What GradScaler gives a fused optimiser: nonzero leaves everything as it is.
            self._optimiser.found_inf = skipped  # type: ignore[attr-defined]
            self._optimiser.step()
            del self._optimiser.found_inf  # type: ignore[attr-defined]
        return norm, skipped

    def _unsynchronised(self) -> contextlib.AbstractContextManager[None]:
        return distributed.unsynchronised(self._network)
