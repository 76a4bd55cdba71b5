"""Learning rates over the steps, and the optimiser of a recipe."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

import torch
from torch import nn
from torch.optim import Adam, AdamW, Optimizer

from backend.training.recipe import Optimiser, Schedule
from backend.training.task import ParameterGroup


def rate_factor(schedule: Schedule, step: int, steps: int) -> float:
    """What multiplies the learning rate in `step` (from 0) of `steps`: a function of these alone.

    Step s of a warm-up of w steps has the fraction (s + 1) / w, so that no step is lost on 0.
    """
    if step < schedule.warm_up:
        return _after_warm_up(schedule, schedule.warm_up, steps) * (step + 1) / schedule.warm_up
    return _after_warm_up(schedule, step, steps)


def _after_warm_up(schedule: Schedule, step: int, steps: int) -> float:
    if schedule.kind == "multi-step":
        return float(schedule.factor ** bisect_right(sorted(schedule.milestones), step))
    if schedule.kind == "cosine":
        done = (step - schedule.warm_up) / max(steps - schedule.warm_up, 1)
        wave = (1 + math.cos(math.pi * min(done, 1.0))) / 2
        return schedule.floor + (1 - schedule.floor) * wave
    return 1.0


def make_optimiser(settings: Optimiser, groups: Sequence[ParameterGroup]) -> Optimizer:
    """Adam or AdamW over the groups.

    Fused: one kernel for all parameters, which on request (`found_inf`) leaves them as they are
    without the processor waiting for the device. Raises ValueError for a parameter that stands in
    two groups or in none that needs a gradient.
    """
    listed = [
        {
            "params": [*group.parameters],
            "lr": settings.rate * group.rate,
            "weight_decay": settings.weight_decay if group.decay else 0.0,
            "name": group.name,
            "rate": group.rate,
        }
        for group in groups
        if len(group.parameters)
    ]
    kind = Adam if settings.kind == "adam" else AdamW
    return kind(listed, lr=settings.rate, betas=settings.betas, eps=settings.eps, fused=True)


def set_rate(optimiser: Optimizer, rate: float) -> None:
    """Give every group the learning rate, times the group's multiplier."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["rate"]


def left_out(network: nn.Module, groups: Sequence[ParameterGroup]) -> list[str]:
    """The names of parameters that want a gradient and stand in no group."""
    chosen = {id(parameter) for group in groups for parameter in group.parameters}
    return [
        name
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and id(parameter) not in chosen
    ]


def gradient_norm(parameters: Sequence[nn.Parameter], limit: float | None) -> torch.Tensor:
    """The norm of all gradients together, which are scaled down to `limit` where it is above.

    A scalar on the parameters' device. A norm that is not finite scales nothing.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    if limit is not None:
        torch.nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return norm
